"""`audio_dataset_from_directory`: sounds in folders as a DataLoader of batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from torchkeras.utils.loaders.indexing import Request
from torchkeras.utils.loaders.loader import BatchLoader, default_workers, load_files
from torchkeras.utils.loaders.resampling import resample
from torchkeras.utils.loaders.wav import read_wav


@dataclass
class AudioReader:
    """Reads WAV files as float32 tensors of shape `(steps, channels)`.

    Args:
        sampling_rate: samples per second that are wanted; `None`: those of the file.
        length: steps to which sounds are cut or padded; `None`: they keep their own.
        ragged: whether a batch is a list of sounds with lengths of their own.
    """

    sampling_rate: int | None
    length: int | None
    ragged: bool

    def read(self, path: str) -> torch.Tensor:
        """One sound.

        Args:
            path: path of the file.

        Raises:
            ValueError: the file is no WAV file that can be read; names it.
        """
        sound, rate = read_wav(path)
        if self.sampling_rate is not None:
            sound = resample(sound, rate, self.sampling_rate)
        return sound if self.length is None else _of_length(sound, self.length)

    def join(self, samples: list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Sounds as one batch, padded with zeros to the longest one.

        Raises:
            ValueError: the sounds have different numbers of channels.
        """
        if self.ragged:
            return samples
        channels = {sound.shape[1] for sound in samples}
        if len(channels) > 1:
            raise ValueError(
                f"The sounds of a batch must have one number of channels; received {sorted(channels)}. Mix them down, "
                "or ask for ragged=True, which gives lists of sounds."
            )
        longest = max(len(sound) for sound in samples)
        return torch.stack([_of_length(sound, longest) for sound in samples])


def _of_length(sound: torch.Tensor, length: int) -> torch.Tensor:
    return F.pad(sound[:length], (0, 0, 0, max(length - len(sound), 0)))


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
    *,
    format: str = "tf",
    workers: int | None = None,
    skip_errors: bool = False,
) -> BatchLoader | tuple[BatchLoader, ...]:
    """Make batches of the WAV files in a directory whose subdirectories are the classes.

    The result is a torch `DataLoader` that `fit`, `evaluate` and `predict` take. Threads read the files while the
    model works; `loader.workers` is their number. `loader.class_names` and `loader.file_paths` say what was found;
    `loader.scan(skip_errors=True)` leaves broken files out and returns how many they were; `loader.dataset` is the
    torch `Dataset` of single samples, for a DataLoader of your own with `collate_fn=loader.dataset.collate`. With one
    seed the files of each subset are the same as Keras's.

    PCM with 8, 16, 24 or 32 bits (scaled to [-1, 1)) and floats with 32 or 64 bits are read, with any number of
    channels.

    Args:
        directory: the directory. With `labels="inferred"` it holds a subdirectory for each class; otherwise its files
            and those of all subdirectories are taken.
        labels: `"inferred"`: the subdirectory is the class; a list or tuple of integers, one for each file in
            alphanumeric order of the paths; or `None`, no labels. Default: `"inferred"`.
        label_mode: `"int"`: labels are int32, of shape `(batch,)`; `"binary"`: float32 zeros and ones, of shape
            `(batch, 1)`; `"categorical"`: one-hot float32, of shape `(batch, classes)`; `None`: no labels. Default:
            `"int"`.
        class_names: names of subdirectories in the order of their labels. Default: `None`, alphanumeric order.
        batch_size: samples per batch; `None`: single sounds. Default: `32`.
        sampling_rate: samples per second to which sounds are resampled, by a windowed sinc filter. Default: `None`,
            each file's own.
        output_sequence_length: steps to which sounds are cut or padded with zeros, after resampling. Default: `None`,
            the longest one of the batch.
        ragged: whether a batch is a list of tensors with lengths of their own, instead of one padded tensor. Default:
            `False`.
        shuffle: whether to shuffle; otherwise files come in alphanumeric order. Default: `True`.
        seed: seed of the shuffling. Default: `None`, drawn from NumPy's global generator.
        validation_split: share of the files, between 0 and 1, for validation. Default: `None`.
        subset: `"training"`, `"validation"` or `"both"`, if `validation_split` is set. Default: `None`.
        follow_links: whether to enter directories that are symbolic links. Default: `False`.
        format: `"tf"`: each pass has a new order; `"grain"`: each pass has the same order. Both give the same kind of
            object. Default: `"tf"`.
        verbose: whether to print the number of files and classes. Default: `True`.
        workers: number of threads that read files ahead; 0: files are read when they are needed. Keras has no such
            argument. Default: `None`, one for each core, eight at most.
        skip_errors: whether to read every file once now and leave broken ones out, with a line that counts them. Keras
            has no such argument. Default: `False`.

    Returns:
        A `DataLoader` of batches `sounds`, or `(sounds, labels)` where there are labels; sounds are float32 of shape
        `(batch, steps, channels)`. With `subset="both"`, a tuple of two, for training and validation.

    Raises:
        ValueError: an argument does not fit, or the directory holds no WAV files. Later, while reading: a file is
            broken; the error names it.
        OSError: the directory can't be read.

    Example:
        >>> import tempfile, wave
        >>> from pathlib import Path
        >>> top = Path(tempfile.mkdtemp())
        >>> for name, steps in {"long": 30, "short": 10}.items():
        ...     (top / name).mkdir()
        ...     with wave.open(str(top / name / "one.wav"), "wb") as file:
        ...         file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...         file.writeframes(bytes(2 * steps))
        >>> loader = keras.utils.audio_dataset_from_directory(top, shuffle=False, verbose=False)
        >>> sounds, labels = next(iter(loader))
        >>> sounds.shape, labels
        (torch.Size([2, 30, 1]), tensor([0, 1], dtype=torch.int32))
    """
    if ragged and output_sequence_length is not None:
        raise ValueError("Cannot set both `ragged` and `output_sequence_length`")
    if sampling_rate is not None and (isinstance(sampling_rate, bool) or not isinstance(sampling_rate, int)):
        raise ValueError(f"`sampling_rate` should have an integer value. Received: {sampling_rate=}")
    if sampling_rate is not None and sampling_rate <= 0:
        raise ValueError(f"`sampling_rate` should be higher than 0. Received: {sampling_rate=}")
    request = Request(
        directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset, follow_links, format,
        verbose, "audio files", "audio files", (".wav",),
    )  # fmt: skip
    reader = AudioReader(sampling_rate, output_sequence_length, ragged)
    loaders = load_files(request, reader, batch_size, default_workers() if workers is None else workers, skip_errors)
    return tuple(loaders) if isinstance(loaders, list) else loaders
