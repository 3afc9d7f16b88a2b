//! Redirects that cannot leave the site by mistake.
