"""An archive gives what its folder gives; a bad one, or a bad download, leaves nothing behind."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import time
import tracemalloc
import urllib.request

import fake_cifar10 as fake
import pytest

from keras_loader_bench.loaders.sources import checked_tar, cifar10_download
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10
from keras_loader_bench.loaders.sources.cifar10_download import download_cifar10, open_https
from keras_loader_bench.loaders.sources.image_source import SourceError

FOLDER = "cifar-10-batches-py"


@pytest.fixture
def archive(tmp_path):
    return fake.write_archive(fake.write_folder(tmp_path / "unpacked"), tmp_path)


def prepare(path, split="test"):
    return prepare_cifar10(path, split, rows_per_batch=fake.ROWS)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_archive_gives_what_its_folder_gives(archive, split):
    from_archive = prepare(archive, split)
    from_folder = prepare(archive.parent / "unpacked", split)
    assert from_archive.images_sha256 == from_folder.images_sha256
    assert from_archive.labels_sha256 == from_folder.labels_sha256
    assert from_archive.inputs == {
        "cifar-10-python.tar.gz": hashlib.sha256(archive.read_bytes()).hexdigest()
    }
    assert len(list(cache_folder().iterdir())) == 2  # nothing unpacked stays


@pytest.mark.parametrize("name", ["cifar-10-python.tar", "cifar-10-python.tar.gz"])
def test_an_archive_that_a_browser_has_unzipped_is_read(archive, tmp_path, name):
    unzipped = tmp_path / "downloads" / name
    unzipped.parent.mkdir()
    unzipped.write_bytes(gzip.decompress(archive.read_bytes()))
    assert prepare(unzipped.parent).images_sha256 == prepare(archive).images_sha256


@pytest.mark.parametrize(
    ("folder", "edition"),
    [
        ("cifar-10-batches-bin", "the binary edition of CIFAR-10"),
        ("cifar-10-batches-mat", "the MATLAB edition of CIFAR-10"),
        ("cifar-100-python", "CIFAR-100"),
    ],
)
def test_an_archive_of_another_edition_is_named(tmp_path, folder, edition):
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(file(folder, 0, type=tarfile.DIRTYPE))
        # Too large for a member of CIFAR-10, as CIFAR-100's are: that must not be said instead.
        tar.addfile(file(f"{folder}/train", 33 * 2**20), io.BytesIO(bytes(33 * 2**20)))
    with pytest.raises(SourceError, match=f"{archive}` .*: it is {edition}.*https://"):
        prepare(archive)


def test_a_second_call_unpacks_nothing(archive, monkeypatch):
    first = prepare(archive)
    monkeypatch.setattr("keras_loader_bench.loaders.sources.cifar10.unpack", None)
    assert prepare(archive) == first


def file(name, size=1, **fields):
    member = tarfile.TarInfo(name)
    member.size = size
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def link(name, kind, target="/etc/passwd"):
    return file(name, 0, type=kind, linkname=target)


BAD_MEMBERS = {
    "parent": (file(f"{FOLDER}/../../evil"), "does not have"),
    "parent of a known name": (file(f"../{FOLDER}/test_batch"), "does not have"),
    "absolute": (file("/tmp/evil"), "does not have"),
    "unknown": (file(f"{FOLDER}/setup.py"), "does not have"),
    "not in the folder": (file("test_batch"), "does not have"),
    "folder": (file(f"{FOLDER}/more", 0, type=tarfile.DIRTYPE), "not a regular file"),
    "folder in place of a file": (
        file(f"{FOLDER}/test_batch", 0, type=tarfile.DIRTYPE),
        "not a regular file",
    ),
    "symbolic link": (link(f"{FOLDER}/test_batch", tarfile.SYMTYPE), "not a regular file"),
    "folder as a link": (link(FOLDER, tarfile.SYMTYPE, "/tmp"), "not a regular file"),
    "hard link": (link(f"{FOLDER}/test_batch", tarfile.LNKTYPE), "not a regular file"),
    "device": (file(f"{FOLDER}/test_batch", 0, type=tarfile.CHRTYPE), "not a regular file"),
    "block device": (file(f"{FOLDER}/test_batch", 0, type=tarfile.BLKTYPE), "not a regular file"),
    "pipe": (file(f"{FOLDER}/test_batch", 0, type=tarfile.FIFOTYPE), "not a regular file"),
    "oversize": (file(f"{FOLDER}/test_batch", 33 * 2**20), "of 34603008 bytes"),
    "sparse": (
        file(
            f"{FOLDER}/test_batch",
            pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9999999999999"},
        ),
        "not a regular file",
    ),
}


@pytest.mark.parametrize("bad", BAD_MEMBERS)
def test_a_member_that_the_official_archive_lacks_is_refused(tmp_path, bad):
    member, problem = BAD_MEMBERS[bad]
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SourceError, match=f"{archive}` .*{member.name}' .*{problem}.*https://"):
        prepare(archive)
    cache_folder().rmdir()  # empty
    cache_folder().parent.rmdir()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_that_comes_twice_is_refused(archive):
    content = gzip.decompress(archive.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        end = tar.getmembers()[-1]
        start = content[: end.offset_data + -(-end.size // 512) * 512]
    with tarfile.open(fileobj=(again := io.BytesIO()), mode="w") as tar:
        tar.addfile(file(f"{FOLDER}/test_batch"), io.BytesIO(b"x"))
    archive.write_bytes(gzip.compress(start + again.getvalue()))
    with pytest.raises(SourceError, match="test_batch' twice"):
        prepare(archive)
    assert list(cache_folder().iterdir()) == []


DAMAGES = {
    "truncated": (lambda content: content[: len(content) // 2], "truncated, damaged"),
    "empty": (lambda content: b"", "truncated, damaged"),
    "not compressed, and cut off": (
        lambda content: gzip.decompress(content)[:70_000],
        "truncated, damaged",
    ),
    "text": (lambda content: b"<html>404</html>", "truncated, damaged"),
    "compressed text": (lambda content: gzip.compress(b"hello" * 999), "truncated, damaged"),
    "a flipped bit": (
        lambda content: content[:-99] + bytes([content[-99] ^ 1]) + content[-98:],
        "truncated, damaged",
    ),
    "a tar without its end": (
        lambda content: gzip.compress(gzip.decompress(content)[:70_000]),
        "truncated, damaged",
    ),
    "no members": (lambda content: gzip.compress(bytes(10_240)), "has no batches.meta, test_batch"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_one_clear_error(archive, damage):
    change, message = DAMAGES[damage]
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(SourceError, match=f"{archive}` .*{message}.*https://"):
        prepare(archive)
    assert list(cache_folder().iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_is_refused(archive, monkeypatch):
    monkeypatch.setattr(checked_tar, "MAX_ARCHIVE_BYTES", 2**20)
    with tarfile.open(archive, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(file(f"{FOLDER}/test_batch", 2**22), io.BytesIO(bytes(2**22)))
    assert archive.stat().st_size < 2**20
    with pytest.raises(SourceError, match="more than 1 MiB unpacked"):
        prepare(archive)


def test_an_archive_that_is_too_large_is_not_read(archive):
    with archive.open("r+b") as large:
        large.truncate(10 * 2**30)  # takes no space
    with pytest.raises(SourceError, match="larger than 256 MiB"):
        prepare(archive)


CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if self.path == "/short" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def download(url, sha256=SHA256):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return download_cifar10(url, sha256=sha256, opener=opener.open)


def test_a_download_lies_in_the_cache_and_is_not_repeated(server):
    path = download(f"{server}/archive")
    assert path.read_bytes() == CONTENT
    assert list(cache_folder().iterdir()) == [path]
    assert download(f"{server}/missing") == path


def test_a_cached_download_that_has_changed_is_repeated(server):
    download(f"{server}/archive").write_bytes(b"changed")
    assert download(f"{server}/archive").read_bytes() == CONTENT


FAILURES = {
    "checksum": ("/archive", "0" * 64, f"SHA-256 is {SHA256} instead of 0000"),
    "short": ("/short", SHA256, "1000 of 1280000 bytes|IncompleteRead"),
    "missing": ("/missing", SHA256, "HTTP Error 404"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_download_is_one_clear_error_and_leaves_nothing(server, failure):
    path, sha256, message = FAILURES[failure]
    with pytest.raises(SourceError, match=f"{server}{path}` .*({message}).*by hand.*--data-dir"):
        download(server + path, sha256)
    assert list(cache_folder().iterdir()) == []


def test_a_download_that_does_not_end_is_stopped(server, monkeypatch):
    monkeypatch.setattr(cifar10_download, "MAX_ARCHIVE_BYTES", 1000)
    with pytest.raises(SourceError, match="more than 1000 bytes"):
        download(f"{server}/archive")
    assert list(cache_folder().iterdir()) == []


def test_no_network_is_one_clear_error():
    with pytest.raises(SourceError, match=r"could not be downloaded: .*refused.*by hand"):
        download("http://127.0.0.1:1/archive")
    assert list(cache_folder().iterdir()) == []


def test_only_https_is_opened(server, monkeypatch):
    with pytest.raises(SourceError, match="only https"):
        download_cifar10(f"{server}/archive", sha256=SHA256)
    redirected = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    monkeypatch.setattr(
        cifar10_download.urllib.request,
        "urlopen",
        lambda url, timeout: redirected.open(f"{server}/archive"),
    )
    with pytest.raises(OSError, match="redirects"):
        open_https("https://example.org/archive")


def bomb_of_one_description(text_bytes):
    """A member that a small archive describes in so many bytes."""
    with tarfile.open(fileobj=(raw := io.BytesIO()), mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = file(f"{FOLDER}/test_batch", pax_headers={"comment": "1" * text_bytes})
        tar.addfile(member, io.BytesIO(b"x"))
    return gzip.compress(raw.getvalue(), 1)


def bomb_of_members(number):
    header = file(f"{FOLDER}/", 0, type=tarfile.DIRTYPE).tobuf()
    return gzip.compress(header * number, 1)


def bomb_of_a_name(name_bytes):
    """The file name in the header of gzip."""
    plain = gzip.compress(bytes(10_240))
    return plain[:3] + b"\x08" + plain[4:10] + b"n" * name_bytes + b"\0" + plain[10:]


def bomb_of_gzip_members(number):
    return gzip.compress(b"") * number


def bomb_of_sparse_headers(number):
    """Each of which says that one more follows."""
    member = file(f"{FOLDER}/test_batch", 0, type=tarfile.GNUTYPE_SPARSE)
    first = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    first[482] = 1
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    more = bytearray(512)
    more[504] = 1
    return gzip.compress(bytes(first) + bytes(more) * number, 1)


BOMBS = {
    "a long description": lambda: bomb_of_one_description(100 * 2**20),
    "a name": lambda: bomb_of_a_name(100 * 2**20),
    "members": lambda: bomb_of_members(500_000),
    "gzip members": lambda: bomb_of_gzip_members(2_000_000),
    "sparse headers": lambda: bomb_of_sparse_headers(400_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_archive_costs_much_time_or_memory(tmp_path, bomb):
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(BOMBS[bomb]())
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(SourceError) as caught:
        prepare(archive)
    assert time.process_time() - begin < 5
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("text_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_archive_that_was_packed_again_is_read(archive, tmp_path, text_format):
    """With descriptions of times and owners, as programs of today write them."""
    again = tmp_path / "again" / archive.name
    again.parent.mkdir()
    with tarfile.open(again, "w:gz", format=text_format) as tar:
        tar.add(tmp_path / "unpacked" / FOLDER, FOLDER, filter=described)
    assert prepare(again).images_sha256 == prepare(archive).images_sha256


def described(member):
    member.mtime += 0.25
    member.pax_headers = {"comment": "packed again", "SCHILY.xattr.user.note": "ü" * 100}
    return member
