//! Takes files from forms.

fn main() {}
