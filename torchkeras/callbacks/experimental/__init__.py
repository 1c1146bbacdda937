"""The older place of callbacks that have long been ordinary ones."""

from torchkeras.callbacks.backup_and_restore import BackupAndRestore as BackupAndRestore
