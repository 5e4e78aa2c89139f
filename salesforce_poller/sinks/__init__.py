"""The far shore: one file per kind of sink, named by the word in the configuration."""
