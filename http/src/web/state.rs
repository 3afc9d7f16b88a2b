//! Values of handlers without globals: shared ones, and one for each shard.
