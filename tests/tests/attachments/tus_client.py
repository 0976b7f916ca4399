"""Uploads a file with the reference client of tus for Python: in chunks, left after the first, resumed by another."""

import sys

from tusclient import client

url, token, path, sha256 = sys.argv[1:]
tus = client.TusClient(url, headers={"Authorization": f"Bearer {token}"})
metadata = {"sha256": sha256, "filetype": "image/jpeg", "filename": "photo.jpg"}
first = tus.uploader(path, chunk_size=10_000, metadata=metadata, upload_checksum=True)
first.upload_chunk()
assert first.offset == 10_000, first.offset
again = tus.uploader(path, chunk_size=50_000, url=first.url, upload_checksum=True)
assert again.offset == 10_000, again.offset
again.upload()
