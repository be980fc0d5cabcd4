"""“How are we doing?”: the numbers of the start page, from tallies and a few bounded looks at the tables."""
