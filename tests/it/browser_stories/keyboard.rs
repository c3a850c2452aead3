//! Pages are walked through with the keyboard in the order in which they are read.
