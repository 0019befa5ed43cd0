"""The loaders of encoded images, and what must be known of one before its framework is imported.

A new loader is one file in `pipelines/` and one entry here. Must not know: any framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from keras_loader_bench.loaders import recipes
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.registry import LOADERS, KnownFailure, LoaderEntry, class_of

RowOrders = Literal["any", "stored", "own"]

ONLY_ORDER: Mapping[str, str] = MappingProxyType(
    {
        "stored": "its container is read from the front",
        "own": "`image_dataset_from_directory` has an order of its own",
    }
)
"""`ImageLoaderEntry.order` -> why there is no other one."""

DRAWS_NOTHING = (
    "`image_dataset_from_directory` resizes the whole image; augment in the model, as Keras does"
)
"""Why no parts of images can be asked of it."""


@dataclass(frozen=True)
class ImageLoaderEntry(LoaderEntry):
    """What the suite knows of a loader of encoded images without importing it."""

    container: str | None = None
    """The key of `CONTAINERS` that it reads; `None`: the source's own files."""

    order: RowOrders = "any"
    """Which rows it can deliver. `stored`: row 0 and those that follow, as its container is read
    from the front. `own`: `Loader.only_rows` says which."""

    other_pixels: str | None = None
    """Why its pixels are not those of the decode contract; `None`: they are."""

    draws_views: bool = True
    """Whether it can deliver drawn parts of images; see `loaders.encoded.views`."""

    decodes: bool = True
    """Whether its rounds decode images; otherwise all are decoded when it is made."""

    def expected_failure(self, backend: str, num_workers: int) -> KnownFailure | None:
        """Return why its batches are expected to be others; of other pixels they are."""
        if self.other_pixels is None:
            return super().expected_failure(backend, num_workers)
        return KnownFailure(
            backends=(backend,), min_workers=0, reason=self.other_pixels, link=_CONTRACT
        )


_CONTRACT = "https://keras.io/api/data_loading/image/"
DECODER = "simplejpeg"
"""The package that decodes JPEG, of which loaders other than this suite's may have their own."""

_DECODER = (DECODER,)
_RESIZED = (
    "`image_dataset_from_directory` resizes the whole image where the contract cuts out its centre"
)

IMAGE_LOADERS: dict[str, ImageLoaderEntry] = {  # order is colour: a new one goes to the end
    "image_sequence": ImageLoaderEntry(
        ".image_sequence_loader:ImageSequenceLoader",
        packages=_DECODER,
        has_workers=True,
        own=True,
        recipe=recipes.IMAGES,
    ),
    "stock_image_sequence": ImageLoaderEntry(
        ".stock_image_sequence_loader:StockImageSequenceLoader",
        has_workers=True,
        known_failure=LOADERS["stock_sequence"].known_failure,
        container="folder",
    ),
    "keras_directory_tf": ImageLoaderEntry(
        ".keras_directory_tf_loader:KerasDirectoryTfLoader",
        packages=("tensorflow",),
        container="folder",
        order="own",
        other_pixels=f"{_RESIZED}, and TensorFlow's default decoder gives other values.",
        draws_views=False,
        recipe=recipes.DIRECTORY_TF,
    ),
    "keras_directory_grain": ImageLoaderEntry(
        ".keras_directory_grain_loader:KerasDirectoryGrainLoader",
        packages=("grain",),
        container="folder",
        order="own",
        other_pixels=f"{_RESIZED}.",
        draws_views=False,
        recipe=recipes.DIRECTORY_GRAIN,
    ),
    "tf_data_files": ImageLoaderEntry(
        ".tf_data_files_loader:TfDataFilesLoader",
        packages=("tensorflow",),
        has_workers=True,
        container="folder",
    ),
    "tf_data_records": ImageLoaderEntry(
        ".tf_data_records_loader:TfDataRecordsLoader",
        packages=("tensorflow",),
        has_workers=True,
        container="tfrecord",
        order="stored",
    ),
    "torch_pillow": ImageLoaderEntry(
        ".torch_pillow_loader:TorchPillowLoader",
        packages=("torch",),
        has_workers=True,
        worker_processes=True,
        container="folder",
    ),
    "torch_simplejpeg": ImageLoaderEntry(
        ".torch_simplejpeg_loader:TorchSimplejpegLoader",
        packages=("torch", *_DECODER),
        has_workers=True,
        worker_processes=True,
        container="folder",
    ),
    "grain_records": ImageLoaderEntry(
        ".grain_records_loader:GrainRecordsLoader",
        packages=("grain", "array_record", *_DECODER),
        has_workers=True,
        container="array_record",
    ),
    "webdataset": ImageLoaderEntry(
        ".webdataset_loader:WebDatasetLoader",
        packages=("torch", "webdataset"),
        has_workers=True,
        worker_processes=True,
        container="tar",
        order="stored",
    ),
    "hdf5_stock": ImageLoaderEntry(
        ".hdf5_stock_loader:Hdf5StockLoader", packages=("h5py",), container="hdf5"
    ),
    "hdf5_batched": ImageLoaderEntry(
        ".hdf5_batched_loader:Hdf5BatchedLoader",
        packages=("h5py", *_DECODER),
        has_workers=True,
        own=True,
        container="hdf5",
    ),
    "decoded_numpy": ImageLoaderEntry(
        ".decoded_numpy_loader:DecodedNumpyLoader", packages=_DECODER, decodes=False
    ),
}
"""Name of a loader -> what is known of it."""


def make_image_loader(name: str, source: EncodedSource, options: ImageOptions) -> ImageLoader:
    """Import the loader's module, and with it its framework, and make the loader.

    Its container is written where it is not yet in the cache.

    Args:
        name: a key of `IMAGE_LOADERS`.
        source: the encoded images.
        options: batch size, the form of the pixels, workers, augmentation.

    Raises:
        ValueError: no loader has this name, or it cannot augment.
        ImportError: a package that the loader needs is missing.
        SourceError: the container cannot be written.
    """
    if name not in IMAGE_LOADERS:
        names = ", ".join(sorted(IMAGE_LOADERS))
        raise ValueError(f"Unknown loader `{name}`; the loaders of images are {names}.")
    made = class_of(IMAGE_LOADERS[name], f"{__package__}.pipelines")
    loader: ImageLoader = made(source, options)
    return loader
