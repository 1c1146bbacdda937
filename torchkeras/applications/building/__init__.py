"""The parts that the families of `keras.applications` are built from."""
