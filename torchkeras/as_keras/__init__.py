"""`import torchkeras.as_keras`: from here on, `import keras` imports this package, also in other packages.

It serves Keras's public names, and those private ones (`keras.src...`) that other packages use. docs/drop_in.md has the
other ways to switch it on (for a script, for pytest, for child processes), and what was run on it.
"""

from torchkeras.as_keras.switch import serve as serve
