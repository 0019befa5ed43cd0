"""Attacks that take minutes: `python tests/attacks.py [SECONDS] [SEED]` runs each for that long.

- `pickles` and `archives`: damaged files of CIFAR-10. Each is read, or refused with a `SourceError`
  of moderate length, and costs less than 5 s.
- `caches`: a changed byte anywhere in a prepared source. It is noticed, and the source made again.
- `kills`: preparations that are killed at any moment. The next one succeeds, and nothing is left.
- `runs`: whole runs that are killed at any moment. 2 s later none of their processes lives.

`tests/test_attacks.py` runs a seeded sample of the quick ones.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / ".package"
sys.path[:0] = [str(PACKAGE), str(TESTS)]

import fake_cifar10 as fake  # noqa: E402  # after the path
import fake_source  # noqa: E402
import psutil  # noqa: E402

from keras_loader_bench.loaders.sources.cache import cache_folder, find_source  # noqa: E402
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10  # noqa: E402
from keras_loader_bench.loaders.sources.image_source import SourceError  # noqa: E402

MOST_SECONDS = 5.0


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return content with a few bytes changed, cut out, repeated or put in."""
    wrong = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(wrong)), chance.randint(1, 64)
        kind = chance.randrange(5)
        if kind == 0:
            wrong[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del wrong[place : place + length]
        elif kind == 2:
            wrong[place:place] = wrong[place : place + length]
        elif kind == 3:
            wrong[place : place + length] = chance.randbytes(length)
        else:
            del wrong[max(1, place) :]
    return bytes(wrong)


def files(
    sound: Path, place: Path, original: Path, chance: random.Random
) -> Iterator[tuple[str, bool]]:
    """Damage one file again and again, and prepare what it belongs to."""
    right = original.read_bytes()
    expected = prepare_cifar10(sound, "test", rows_per_batch=fake.ROWS)
    while True:
        place.write_bytes(damaged(right, chance))
        begin = time.process_time()
        try:
            found = prepare_cifar10(sound, "test", rows_per_batch=fake.ROWS)
            end = "the same" if found.images_sha256 == expected.images_sha256 else "other pixels"
            good = True  # a pixel is a byte of the file: no file of an unofficial edition is wrong
        except SourceError as error:
            end, good = "refused", len(str(error)) < 3000
        good &= time.process_time() - begin < MOST_SECONDS
        shutil.rmtree(cache_folder(), ignore_errors=True)
        yield end, good


def pickles(folder: Path, chance: random.Random) -> Iterator[tuple[str, bool]]:
    sound = fake.write_folder(folder)
    copy = folder / "copy"
    shutil.copy(sound / "test_batch", copy)
    return files(sound, sound / "test_batch", copy, chance)


def archives(folder: Path, chance: random.Random) -> Iterator[tuple[str, bool]]:
    sound = fake.write_archive(fake.write_folder(folder / "unpacked"), folder)
    copy = folder / "copy"
    shutil.copy(sound, copy)
    return files(sound, sound, copy, chance)


def caches(folder: Path, chance: random.Random) -> Iterator[tuple[str, bool]]:
    target = cache_folder() / "source"
    while True:
        expected = fake_source.write(target)
        path = target / chance.choice(["images.npy", "labels.npy", "source.json"])
        wrong = bytearray(path.read_bytes())
        place = chance.randrange(len(wrong) - 1)
        wrong[place] ^= chance.randint(1, 255)
        unseen = path.suffix == ".json" and wrong.split() == path.read_bytes().split()
        path.write_bytes(wrong)
        noticed = find_source(target, inputs=fake_source.INPUTS) is None
        shown = "noticed" if noticed else "not noticed"
        yield shown, (noticed or unseen) and fake_source.write(target) == expected


def kills(folder: Path, chance: random.Random) -> Iterator[tuple[str, bool]]:
    program = (
        "from keras_loader_bench.loaders.sources.known_sources import prepare_source as p;"
        "p('synthetic', num_samples=20_000).verify(); print('done')"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", program]
    while True:
        shutil.rmtree(cache_folder(), ignore_errors=True)
        killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.1, 2.0))
        killed.kill()
        killed.wait()
        left = bool(list(cache_folder().glob(".tmp-*")))
        again = subprocess.run(command, env=environment, capture_output=True, text=True)
        clean = len(list(cache_folder().iterdir())) == 1
        yield "while it wrote" if left else "before or after", again.stdout == "done\n" and clean


def runs(folder: Path, chance: random.Random) -> Iterator[tuple[str, bool]]:
    number = 0
    while True:
        number += 1
        home = folder / f"home-{number}"
        environment = os.environ | {"PYTHONPATH": str(PACKAGE), "KERAS_HOME": str(home)}
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "bench/", "--benchmark-only", "--quick"),
                *("--samples", "512", "--source", "synthetic", "-p", "no:cacheprovider"),
                *("--results-dir", str(folder / f"run-{number}")),
            ],
            cwd=TESTS.parent,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.5, 60.0))
        how = chance.choice(["SIGKILL", "SIGTERM", "SIGINT"])
        run.send_signal(getattr(signal, how))
        if how != "SIGKILL":
            run.wait(60)
        time.sleep(2)
        left = [each for each in psutil.process_iter() if _home_of(each) == str(home)]
        run.wait()
        yield f"{how}, {len(left)} left", not left


def _home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("KERAS_HOME")
    except psutil.Error:
        return None


ATTACKS = [pickles, archives, caches, kills, runs]


def main(seconds: float = 60.0, seed: int = 0) -> int:
    """Run all attacks; return how many things went wrong."""
    wrong = 0
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KERAS_HOME"] = str(Path(folder) / "keras")
            seen: dict[str, int] = {}
            until = time.monotonic() + seconds
            for end, good in attack(Path(folder), random.Random(seed)):  # no secret
                seen[end] = seen.get(end, 0) + 1
                if not good:
                    wrong += 1
                    print(f"{attack.__name__}: wrong: {end}", flush=True)
                if time.monotonic() > until:
                    break
        ends = ", ".join(f"{end}: {count:,}" for end, count in sorted(seen.items()))
        print(f"{attack.__name__}: {sum(seen.values()):,} times; {ends}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3])), 1))
