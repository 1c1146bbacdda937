"""Functions that Keras has under private names, which other packages use and this package lacks."""
