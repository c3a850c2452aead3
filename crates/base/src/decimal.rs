//! Whole numbers as text, without the machinery of `format!`: log lines and answers hold several each.

/// Appends `number`.
pub fn push(text: &mut String, number: i64) {
    if number < 0 {
        text.push('-');
    }
    push_padded(text, number.unsigned_abs(), 1);
}

/// Appends `number` with zeros in front until it has `width` digits.
pub fn push_padded(text: &mut String, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20]; // u64::MAX has twenty
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let from = at.min(digits.len().saturating_sub(width));
    text.push_str(str::from_utf8(&digits[from..]).unwrap_or_default()); // digits are text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_stand_in_front() {
        let mut text = String::new();
        push_padded(&mut text, 42, 6);
        push_padded(&mut text, 0, 1);
        push_padded(&mut text, 1_234_567, 3);
        assert_eq!(text, "00004201234567");
    }

    proptest! {
        #[test]
        fn numbers_read_as_std_writes_them(number in any::<i64>()) {
            let mut text = String::new();
            push(&mut text, number);
            prop_assert_eq!(text, number.to_string());
        }
    }
}
