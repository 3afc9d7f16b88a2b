//! Where a request comes from, behind proxies that the program trusts.
