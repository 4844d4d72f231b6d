"""Text lines before training: their files, charsets, importers, synthesis, audit and error rates. Without torch."""
