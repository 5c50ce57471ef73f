// The cases of concat.
