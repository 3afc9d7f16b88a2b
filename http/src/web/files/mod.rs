//! Files as responses: directories, ranges, conditions, downloads.
