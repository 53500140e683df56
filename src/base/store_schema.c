/* SPDX-License-Identifier: Apache-2.0 */
#include "base/store_schema.h"

/*
 * Digests are bare hex of SHA-256; times are nanoseconds since the epoch.
 *
 * manifest   an image's content, by the digest of its config; `manifest` is the document it came
 *            with, when there was one; `removed`: goes with its last workload
 * image      names. A manifest without one stays until it is pruned or removed
 * layer      the files in layers/: key is the diff-id, or the chain-id where `chain` is set (a
 *            layer that cannot be written without those below it)
 * manifest_layer  the layers of a manifest, lowest is position 0, with the blob each came from
 * workload   what was asked for (`config`, JSON), and what its keeper last said
 * address    taken addresses, per network
 */
const char store_schema[] =
	"PRAGMA user_version = 1;"
	"PRAGMA application_id = 0x68756c6c;"
	"CREATE TABLE manifest("
	"  id TEXT PRIMARY KEY,"
	"  os TEXT NOT NULL,"
	"  architecture TEXT NOT NULL,"
	"  variant TEXT,"
	"  created_ns INTEGER NOT NULL," /* the image's own date; 0: none */
	"  imported_ns INTEGER NOT NULL,"
	"  size INTEGER NOT NULL," /* bytes of its layer files */
	"  removed INTEGER NOT NULL DEFAULT 0,"
	"  manifest_digest TEXT,"
	"  manifest TEXT,"
	"  config TEXT NOT NULL"
	");"
	"CREATE TABLE image("
	"  name TEXT PRIMARY KEY,"
	"  manifest TEXT NOT NULL REFERENCES manifest(id),"
	"  tagged_ns INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE INDEX image_manifest ON image(manifest);"
	"CREATE TABLE layer("
	"  key TEXT PRIMARY KEY,"
	"  diff_id TEXT NOT NULL,"
	"  chain INTEGER NOT NULL,"
	"  format INTEGER NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  entries INTEGER NOT NULL,"
	"  created_ns INTEGER NOT NULL"
	") WITHOUT ROWID;"
	"CREATE INDEX layer_diff_id ON layer(diff_id);"
	"CREATE TABLE manifest_layer("
	"  manifest TEXT NOT NULL REFERENCES manifest(id) ON DELETE CASCADE,"
	"  position INTEGER NOT NULL,"
	"  layer TEXT NOT NULL REFERENCES layer(key),"
	"  blob TEXT,"
	"  blob_size INTEGER,"
	"  PRIMARY KEY(manifest, position)"
	") WITHOUT ROWID;"
	"CREATE INDEX manifest_layer_layer ON manifest_layer(layer);"
	"CREATE INDEX manifest_layer_blob ON manifest_layer(blob);"
	"CREATE TABLE workload("
	"  id TEXT PRIMARY KEY,"
	"  name TEXT NOT NULL UNIQUE,"
	"  manifest TEXT," /* the image's id; may be gone after a forced removal */
	"  image TEXT NOT NULL," /* the name asked for */
	"  isolation TEXT NOT NULL," /* 'container', 'vm' */
	"  created_ns INTEGER NOT NULL,"
	"  command TEXT NOT NULL,"
	"  auto_remove INTEGER NOT NULL DEFAULT 0,"
	"  restart INTEGER NOT NULL DEFAULT 0," /* enum restart_policy */
	"  stopped_by_user INTEGER NOT NULL DEFAULT 0,"
	"  state INTEGER NOT NULL DEFAULT 0," /* enum keeper_state; 0: never started */
	"  pid INTEGER NOT NULL DEFAULT 0,"
	"  exit_status INTEGER,"
	"  oom INTEGER NOT NULL DEFAULT 0,"
	"  started_ns INTEGER,"
	"  finished_ns INTEGER,"
	"  restarts INTEGER NOT NULL DEFAULT 0,"
	"  error TEXT," /* why the isolation itself failed */
	"  ports TEXT," /* as shown by ps */
	"  labels TEXT," /* JSON object */
	"  config TEXT NOT NULL" /* last: ps never reads that far */
	");"
	"CREATE INDEX workload_created ON workload(created_ns);"
	"CREATE INDEX workload_manifest ON workload(manifest);"
	"CREATE TABLE address("
	"  network TEXT NOT NULL,"
	"  address TEXT NOT NULL,"
	"  workload TEXT NOT NULL REFERENCES workload(id) ON DELETE CASCADE,"
	"  PRIMARY KEY(network, address)"
	") WITHOUT ROWID;"
	"CREATE INDEX address_workload ON address(workload);";
