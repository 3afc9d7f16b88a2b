//! HTML as a response.
