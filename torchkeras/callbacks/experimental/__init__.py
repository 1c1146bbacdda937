"""The older place of `BackupAndRestore`, kept for scripts that name it."""

from torchkeras.callbacks.backup_and_restore import BackupAndRestore as BackupAndRestore
