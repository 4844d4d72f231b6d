"""Archives: any number of pages, read by Ray Data on one machine or many. Needs the extra `[archive]`."""
