//! With scripts: the demo page calls the API, and nothing that a script could reach is a token.
