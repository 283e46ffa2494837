"""Google's Python client of Cloud Storage as a guest of the mock: `python storage_guest.py CASE`.

Plays one case and asserts on what the client has parsed. Where the mock is stands in the
environment, as the client itself reads it.
"""

import gzip
import io
import json
import os
import sys
import urllib.request

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core import exceptions
from google.auth import compute_engine
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import InvalidOperation
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.cloud.storage.exceptions import DataCorruption
from google.oauth2 import service_account

HOST = os.environ["STORAGE_EMULATOR_HOST"]
MIB = 1 << 20
TEXT = "Miso, the cat. 日本語 and 🦀 arrive whole.\r\n"


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def raised(kind, act):
    try:
        answer = act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised, but {answer!r} came")


def bucket(client, name="guests"):
    return client.create_bucket(name)


def puts_and_gets(client):
    place = bucket(client)
    blob = place.blob("folder/名前 with spaces?.txt")
    blob.metadata = {"Kind_Of": "tabby"}
    blob.cache_control = "no-store"
    blob.upload_from_string(TEXT, content_type="text/plain; charset=utf-8", checksum="crc32c")
    same((blob.size, blob.content_type), (len(TEXT.encode()), "text/plain; charset=utf-8"))
    assert blob.generation and blob.metageneration == 1 and blob.etag and blob.crc32c
    again = place.get_blob(blob.name)
    same((again.metadata, again.cache_control), ({"Kind_Of": "tabby"}, "no-store"))
    same(again.download_as_text(), TEXT)
    same((again.md5_hash, again.id), (blob.md5_hash, blob.id))
    same((place.blob("gone").exists(), again.exists()), (False, True))
    blob.delete()
    raised(exceptions.NotFound, blob.delete)


def uploads_in_chunks(client):
    blob = bucket(client).blob("large", chunk_size=MIB)
    content = bytes(range(256)) * (3 * MIB // 256) + b"and a bit"
    # Without a size it is sent in chunks, whatever it is.
    blob.upload_from_file(io.BytesIO(content), checksum="crc32c")
    same(blob.size, len(content))
    assert blob.download_as_bytes(checksum="md5") == content
    # Chunk by chunk, each with a range.
    assert bucket_blob(client, "large", chunk_size=MIB).download_as_bytes() == content
    written = bucket_blob(client, "written")
    with written.open("wb", ignore_flush=True) as sink:
        for start in range(0, len(content), 100_000):
            sink.write(content[start : start + 100_000])
    written.reload()
    same((written.size, written.crc32c), (len(content), blob.crc32c))
    with written.open("rb") as source:
        source.seek(MIB)
        assert source.read(1000) == content[MIB : MIB + 1000]


def bucket_blob(client, name, **options):
    return client.bucket("guests").blob(name, **options)


def uploads_in_parts(client):
    """The one thing for which this client speaks the XML API."""
    blob = bucket(client).blob("parts")
    content = bytes(range(256)) * (11 * MIB // 256)
    with open("content.bin", "wb") as file:
        file.write(content)
    blob.metadata = {"kind": "tabby"}
    transfer_manager.upload_chunks_concurrently(
        "content.bin", blob, chunk_size=5 * MIB, max_workers=2, worker_type="thread"
    )
    blob.reload()
    same((blob.size, blob.metadata), (len(content), {"kind": "tabby"}))
    transfer_manager.download_chunks_concurrently(
        blob, "copy.bin", chunk_size=5 * MIB, max_workers=2, worker_type="thread"
    )
    with open("copy.bin", "rb") as file:
        assert file.read() == content


def reads_ranges(client):
    blob = bucket(client).blob("digits")
    blob.upload_from_string("0123456789")
    same(blob.download_as_bytes(start=2, end=4), b"234")
    same(blob.download_as_bytes(start=7), b"789")
    same(blob.download_as_bytes(start=-2), b"89")
    error = raised(exceptions.RequestRangeNotSatisfiable, lambda: blob.download_as_bytes(start=10))
    same(error.code, 416)


def lists(client):
    place = bucket(client)
    for name in ["a", "f/", "f/1", "f/2/3", "\ufb00", "\U0001f600"]:
        place.blob(name).upload_from_string(name)
    names = lambda **options: [blob.name for blob in client.list_blobs("guests", **options)]
    same(names(), ["a", "f/", "f/1", "f/2/3", "\ufb00", "\U0001f600"])
    same(names(page_size=2), names())
    same(names(prefix="f/", start_offset="f/1", end_offset="f/2"), ["f/1"])
    same(names(match_glob="f/**"), ["f/", "f/1", "f/2/3"])
    same(names(fields="items(name),nextPageToken", max_results=3), ["a", "f/", "f/1"])
    pages = client.list_blobs("guests", delimiter="/", include_trailing_delimiter=True, page_size=2)
    same([blob.name for blob in pages], ["a", "f/", "\ufb00", "\U0001f600"])
    same(pages.prefixes, {"f/"})
    same([place.name for place in client.list_buckets(prefix="gue")], ["guests"])


def keeps_versions(client):
    place = client.bucket("guests")
    place.versioning_enabled = True
    client.create_bucket(place)
    blob = place.blob("cat")
    blob.upload_from_string("one")
    first = blob.generation
    blob.upload_from_string("two")
    assert blob.generation > first
    same([blob.name for blob in client.list_blobs(place, versions=True)], ["cat", "cat"])
    same(place.blob("cat", generation=first).download_as_bytes(), b"one")
    place.delete_blob("cat", generation=first)
    same(len(list(client.list_blobs(place, versions=True))), 1)


def heeds_conditions(client):
    blob = bucket(client).blob("cat")
    blob.upload_from_string("one", if_generation_match=0)
    again = lambda: blob.upload_from_string("two", if_generation_match=0)
    same(raised(exceptions.PreconditionFailed, again).code, 412)
    blob.reload(if_generation_match=blob.generation)
    unchanged = lambda: blob.reload(if_generation_not_match=blob.generation)
    raised(exceptions.NotModified, unchanged)
    blob.metadata = {"a": "1"}
    blob.patch(if_metageneration_match=1)
    same((blob.metageneration, blob.metadata), (2, {"a": "1"}))
    raised(exceptions.PreconditionFailed, lambda: blob.delete(if_generation_match=1))
    blob.delete(if_generation_match=blob.generation, if_metageneration_match=2)


def makes_of_others(client):
    place = bucket(client)
    for name, text in [("a", "1234"), ("b", "56789")]:
        place.blob(name).upload_from_string(text)
    made = place.blob("c")
    made.content_type = "x/y"
    made.compose([place.blob("a"), place.blob("b")], if_generation_match=0)
    same((made.component_count, made.md5_hash, made.content_type), (2, None, "x/y"))
    same(made.download_as_bytes(), b"123456789")
    copied = place.copy_blob(made, place, "d/copy")
    same((copied.content_type, copied.crc32c), ("x/y", made.crc32c))
    rewritten = place.blob("e")
    same(rewritten.rewrite(made), (None, 9, 9))
    same(rewritten.content_type, "x/y")
    moved = place.move_blob(rewritten, "f")
    same((moved.name, moved.download_as_bytes()), ("f", b"123456789"))
    same(place.rename_blob(moved, "g").name, "g")
    same([blob.name for blob in client.list_blobs(place)], ["a", "b", "c", "d/copy", "g"])


def changes_many_at_once(client):
    place = bucket(client)
    blobs = [place.blob(name) for name in "abc"]
    for blob in blobs:
        blob.upload_from_string(blob.name)
    with client.batch():
        for blob in blobs[:2]:
            blob.metadata = {"x": blob.name}
            blob.patch()
        blobs[2].delete()
    same([place.get_blob(blob.name).metadata for blob in blobs[:2]], [{"x": "a"}, {"x": "b"}])
    same(place.get_blob("c"), None)


def unpacks(client):
    place = bucket(client)
    blob = place.blob("packed")
    blob.content_encoding = "gzip"
    packed = gzip.compress(TEXT.encode())
    blob.upload_from_string(packed, content_type="text/plain")
    same(blob.size, len(packed))
    same(place.blob("packed").download_as_bytes(raw_download=True), packed)
    same(place.blob("packed").download_as_text(), TEXT)


def is_refused(client):
    place = bucket(client)
    raised(exceptions.Conflict, lambda: bucket(client))
    error = raised(exceptions.NotFound, lambda: client.bucket("nowhere").blob("x").upload_from_string(""))
    same(error.code, 404)
    raised(exceptions.NotFound, lambda: client.get_bucket("nowhere"))
    place.blob("x").upload_from_string("x")
    conflict = raised(exceptions.Conflict, place.delete)
    same(conflict.errors[0]["reason"], "conflict")
    blob = place.blob("y")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    wrong = raised(exceptions.BadRequest, lambda: blob.upload_from_string("Miso"))
    assert "MD5" in wrong.message, wrong
    place.delete(force=True)
    same(client.lookup_bucket("guests"), None)


def tell(path, what):
    """The control API of the mock."""
    request = urllib.request.Request(HOST + path, json.dumps(what).encode(), method="POST")
    urllib.request.urlopen(request).close()


def fault(verb, nth, **fault):
    tell("/_mock/faults", {"on": {"storage": {"verb": verb}}, "nth": nth, "fault": fault})


def tries_again(client):
    place = bucket(client)
    blob = place.blob("cat", chunk_size=MIB // 4)
    content = bytes(range(256)) * (MIB // 256)
    fault("begin", 1, status=503)
    fault("chunk", "1..2", status=503)
    fault("chunk", 5, lost="answer")
    blob.upload_from_file(io.BytesIO(content), if_generation_match=0)
    same(blob.size, len(content))
    fault("get", 1, reset="request")
    fault("get", 3, close={"bytes": 1000})
    blob.reload()
    assert place.blob("cat").download_as_bytes(checksum="crc32c") == content
    fault("get", 1, status=429, headers={"retry-after": 0})
    same(place.blob("cat").exists(), True)
    fault("get", 1, corrupt={"bytes": 1000})
    raised(DataCorruption, lambda: place.blob("cat").download_as_bytes(checksum="crc32c"))


def logs_in(_anonymous):
    """As a service account with a key of its own, and as a machine in the cloud."""
    del os.environ["STORAGE_EMULATOR_HOST"]
    tell("/_mock/storage", {"access": "token", "buckets": {"guests": {"objects": {"cat": "Miso"}}}})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = service_account.Credentials.from_service_account_info({
        "type": "service_account",
        "client_email": "kai@example",
        "private_key_id": "1",
        "private_key": key.decode(),
        "token_uri": HOST + "/token",
    })
    machine = compute_engine.Credentials()
    for credentials in [account, machine]:
        client = client_with(credentials)
        same(client.bucket("guests").blob("cat").download_as_bytes(), b"Miso")
        client.bucket("guests").blob("dog").upload_from_string("Rex")
    reader = account.with_scopes(["https://www.googleapis.com/auth/devstorage.read_only"])
    blob = client_with(reader).bucket("guests").blob("cat")
    same(blob.download_as_bytes(), b"Miso")
    raised(exceptions.Forbidden, lambda: blob.upload_from_string("Lola"))
    # Refused, the client wants a fresh token, and a stranger has none.
    stranger = client_with(AnonymousCredentials())
    raised(InvalidOperation, stranger.bucket("guests").blob("cat").download_as_bytes)


def client_with(credentials):
    options = {"api_endpoint": HOST}
    return storage.Client(project="guests", credentials=credentials, client_options=options)


CASES = [
    puts_and_gets,
    uploads_in_chunks,
    uploads_in_parts,
    reads_ranges,
    lists,
    keeps_versions,
    heeds_conditions,
    makes_of_others,
    changes_many_at_once,
    unpacks,
    is_refused,
    tries_again,
    logs_in,
]

if __name__ == "__main__":
    client = storage.Client(project="guests")
    {case.__name__: case for case in CASES}[sys.argv[1]](client)
