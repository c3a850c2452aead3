//! What a person does: sign in, sign up, come back from a provider, sign out.
