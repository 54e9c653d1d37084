"""What `meta_speed` measures: the same jobs, done by metawright, by its peers, and by hand."""
