"""``releve bench``: ours against the best documented settings of a baseline, in the same run."""
