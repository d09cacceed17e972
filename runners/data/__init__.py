"""Work on instruction data: checks, composition, conversion, labels, the paper's data set."""
