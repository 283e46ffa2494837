// Google's Node client of Cloud Storage as a guest of the mock: `node storage_guest.mjs CASE`.
//
// Plays one case and asserts on what the client has parsed. Where the mock is stands in the
// environment, as the client itself reads it; half of the cases are told it in their options
// instead, and then ask below another path.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";

import { Storage, TransferManager } from "@google-cloud/storage";

const MIB = 1 << 20;
const TEXT = "Miso, the cat. 日本語 and 🦀 arrive whole.\r\n";

const bucket = async (storage, options) =>
  (await storage.createBucket("guests", options))[0];

const refused = async (code, act) => {
  await assert.rejects(act, (error) => {
    assert.equal(error.code, code, error);
    return true;
  });
};

const names = async (place, query) => (await place.getFiles(query))[0].map((file) => file.name);

async function puts_and_gets(storage) {
  const place = await bucket(storage);
  const file = place.file("folder/名前 with spaces?.txt");
  const metadata = { cacheControl: "no-store", metadata: { Kind_Of: "tabby" } };
  await file.save(TEXT, { resumable: false, contentType: "text/plain", metadata });
  const [about] = await file.getMetadata();
  assert.deepEqual(about.metadata, { Kind_Of: "tabby" });
  assert.equal(about.cacheControl, "no-store");
  assert.equal(Number(about.size), Buffer.byteLength(TEXT));
  // Verified against the checksum that comes with it.
  const [content] = await file.download();
  assert.equal(content.toString(), TEXT);
  assert.deepEqual([await file.exists(), await place.file("gone").exists()], [[true], [false]]);
  await file.setMetadata({ metadata: { Kind_Of: null, other: "1" } });
  assert.deepEqual((await file.getMetadata())[0].metadata, { other: "1" });
  await file.delete();
  await refused(404, () => file.delete());
}

async function uploads_in_chunks(storage) {
  const place = await bucket(storage);
  const content = randomBytes(3 * MIB + 17);
  for (const options of [{ resumable: true }, { resumable: true, chunkSize: MIB }]) {
    const file = place.file("large");
    await file.save(content, { ...options, validation: "md5" });
    assert.ok((await file.download({ validation: "md5" }))[0].equals(content));
  }
  const [uri] = await place.file("later").createResumableUpload();
  await place.file("later").save(content, { uri, resumable: true });
  assert.ok((await place.file("later").download())[0].equals(content));
}

// Its uploads in parts cannot be tried: it makes a host of the bucket's name and of where it was
// told to go, and speaks TLS there.
async function downloads_in_parts(storage) {
  const place = await bucket(storage);
  const content = randomBytes(3 * MIB);
  await place.file("parts").save(content, { resumable: false });
  const [copy] = await new TransferManager(place).downloadFileInChunks("parts", {
    noReturnData: false,
    chunkSizeBytes: MIB,
    destination: "copy.bin",
  });
  assert.ok(copy.equals(content));
}

async function reads_ranges(storage) {
  const file = (await bucket(storage)).file("digits");
  await file.save("0123456789", { resumable: false });
  const read = async (range) => (await file.download(range))[0].toString();
  assert.equal(await read({ start: 2, end: 4 }), "234");
  assert.equal(await read({ start: 7 }), "789");
  assert.equal(await read({ end: -2 }), "89");
  await refused(416, () => file.download({ start: 10 }));
}

async function lists(storage) {
  const place = await bucket(storage);
  const all = ["a", "f/", "f/1", "f/2/3", "\ufb00", "\u{1f600}"];
  for (const name of all) {
    await place.file(name).save(name, { resumable: false });
  }
  assert.deepEqual(await names(place), all);
  const paged = [];
  for (let page = { maxResults: 2, autoPaginate: false }; page; ) {
    const [files, next] = await place.getFiles(page);
    paged.push(...files.map((file) => file.name));
    page = next;
  }
  assert.deepEqual(paged, all);
  assert.deepEqual(await names(place, { startOffset: "f/1", endOffset: "f/2" }), ["f/1"]);
  assert.deepEqual(await names(place, { matchGlob: "f/**" }), ["f/", "f/1", "f/2/3"]);
  const query = { delimiter: "/", maxResults: 2, autoPaginate: false };
  const [files, next, answer] = await place.getFiles(query);
  assert.deepEqual([files.map((file) => file.name), answer.prefixes], [["a"], ["f/"]]);
  const [rest] = await place.getFiles(next);
  assert.deepEqual(rest.map((file) => file.name), all.slice(4));
  const [buckets] = await storage.getBuckets({ prefix: "gue" });
  assert.deepEqual(buckets.map((found) => found.name), ["guests"]);
}

async function keeps_versions(storage) {
  const place = await bucket(storage, { versioning: { enabled: true } });
  const file = place.file("cat");
  await file.save("one", { resumable: false });
  const { generation } = file.metadata;
  await file.save("two", { resumable: false });
  assert.deepEqual(await names(place, { versions: true }), ["cat", "cat"]);
  const old = place.file("cat", { generation });
  assert.equal((await old.download())[0].toString(), "one");
  await old.delete();
  assert.deepEqual(await names(place, { versions: true }), ["cat"]);
}

async function heeds_conditions(storage) {
  const file = (await bucket(storage)).file("cat");
  const once = { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } };
  await file.save("one", once);
  await refused(412, () => file.save("two", once));
  const resumable = { resumable: true, preconditionOpts: { ifGenerationMatch: 0 } };
  await refused(412, () => file.save("two", resumable));
  await file.setMetadata({ metadata: { a: "1" } }, { ifMetagenerationMatch: 1 });
  await refused(412, () => file.setMetadata({}, { ifMetagenerationMatch: 1 }));
  await refused(412, () => file.delete({ ifGenerationMatch: 1 }));
  const { generation } = (await file.getMetadata())[0];
  await file.delete({ ifGenerationMatch: generation, ifMetagenerationMatch: 2 });
}

async function makes_of_others(storage) {
  const place = await bucket(storage);
  for (const [name, text] of [["a", "1234"], ["b", "56789"]]) {
    await place.file(name).save(text, { resumable: false, contentType: "x/y" });
  }
  await place.combine(["a", "b"], "joined");
  const [made] = await place.file("joined").getMetadata();
  assert.deepEqual([made.componentCount, made.md5Hash], [2, undefined]);
  await place.file("joined").copy("d/copy");
  await place.file("d/copy").move("e");
  await place.file("e").moveFileAtomic("f");
  assert.equal((await place.file("f").download())[0].toString(), "123456789");
  assert.equal((await place.file("f").getMetadata())[0].contentType, made.contentType);
  assert.deepEqual(await names(place), ["a", "b", "f", "joined"]);
}

async function unpacks(storage) {
  const place = await bucket(storage);
  const file = place.file("packed");
  await file.save(TEXT, { resumable: false, gzip: true });
  const [about] = await file.getMetadata();
  assert.equal(about.contentEncoding, "gzip");
  assert.equal((await file.download())[0].toString(), TEXT);
  const [raw] = await file.download({ decompress: false });
  assert.ok(raw.equals(gzipSync(TEXT)) || raw.length === Number(about.size));
}

async function is_refused(storage) {
  const place = await bucket(storage);
  await refused(409, () => bucket(storage));
  await refused(404, () => storage.bucket("nowhere").file("x").save("", { resumable: false }));
  await refused(404, () => storage.bucket("nowhere").getMetadata());
  await place.file("x").save("x", { resumable: false });
  await assert.rejects(place.delete(), (error) => error.errors[0].reason === "conflict");
  const wrong = { resumable: false, metadata: { md5Hash: "AAAAAAAAAAAAAAAAAAAAAA==" } };
  await refused(400, () => place.file("y").save("Miso", wrong));
  await place.deleteFiles();
  await place.delete();
  assert.deepEqual(await place.exists(), [false]);
}

const HOST = process.env.STORAGE_EMULATOR_HOST;

async function fault(verb, nth, fault) {
  const rule = { on: { storage: { verb } }, nth, fault };
  const added = await fetch(`${HOST}/_mock/faults`, { method: "POST", body: JSON.stringify(rule) });
  assert.equal(added.status, 200, await added.text());
}

async function tries_again() {
  const retryOptions = { autoRetry: true, maxRetryDelay: 1 };
  const place = await bucket(new Storage({ projectId: "guests", retryOptions }));
  const file = place.file("cat");
  const content = randomBytes(MIB);
  const once = { preconditionOpts: { ifGenerationMatch: 0 } };
  await fault("begin", 1, { status: 503 });
  await fault("chunk", 2, { status: 503 });
  await file.save(content, { resumable: true, chunkSize: MIB / 4, ...once });
  await fault("get", 1, { status: 429 });
  assert.deepEqual(await file.exists(), [true]);
  await fault("get", 1, { corrupt: { bytes: 1000 } });
  await refused("CONTENT_DOWNLOAD_MISMATCH", () => file.download());
  assert.ok((await file.download())[0].equals(content));
}

const CASES = [
  puts_and_gets,
  uploads_in_chunks,
  downloads_in_parts,
  reads_ranges,
  lists,
  keeps_versions,
  heeds_conditions,
  makes_of_others,
  unpacks,
  is_refused,
  tries_again,
];

const place = CASES.findIndex((play) => play.name === process.argv[2]);
const options = { projectId: "guests", retryOptions: { autoRetry: false } };
if (place % 2) {
  options.apiEndpoint = process.env.STORAGE_EMULATOR_HOST;
  delete process.env.STORAGE_EMULATOR_HOST;
}
await CASES[place](new Storage(options));
