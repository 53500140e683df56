/* SPDX-License-Identifier: Apache-2.0 */
/* EROFS on disk, as far as hull writes it (Linux Documentation/filesystems/erofs.rst). All numbers
 * are little-endian. */
#pragma once

#include <assert.h>
#include <stdint.h>

enum {
	EROFS_BLOCK_BITS = 12,
	EROFS_BLOCK = 1 << EROFS_BLOCK_BITS,
	EROFS_SUPER_OFFSET = 1024,
	EROFS_SLOT = 32, /* an inode's number is its place in the metadata area in slots */
	EROFS_CHUNK_ENTRY = 4,
	EROFS_CHUNK_BITS_MAX = 31, /* above EROFS_BLOCK_BITS */
};

#define EROFS_MAGIC                   UINT32_C(0xE0F5E1E2)
#define EROFS_COMPAT_SB_CHKSUM        UINT32_C(1)
#define EROFS_COMPAT_MTIME            UINT32_C(2)
#define EROFS_INCOMPAT_CHUNKED_FILE   UINT32_C(4)
#define EROFS_FORMAT_EXTENDED         1
#define EROFS_FORMAT_LAYOUT_SHIFT     1
#define EROFS_LAYOUT_FLAT_PLAIN       0
#define EROFS_LAYOUT_CHUNK_BASED      4
#define EROFS_NULL_BLOCK              UINT32_MAX
#define EROFS_XATTR_USER              1
#define EROFS_XATTR_POSIX_ACL_ACCESS  2
#define EROFS_XATTR_POSIX_ACL_DEFAULT 3
#define EROFS_XATTR_TRUSTED           4
#define EROFS_XATTR_SECURITY          6

struct erofs_super {
	uint32_t magic;
	uint32_t checksum; /* CRC-32C from here's block's 1024 to its end, this field 0 */
	uint32_t feature_compat;
	uint8_t block_bits;
	uint8_t extra_slots;
	uint16_t root_nid;
	uint64_t inodes;
	uint64_t build_time;
	uint32_t build_time_nsec;
	uint32_t blocks;
	uint32_t meta_block;
	uint32_t xattr_block;
	uint8_t uuid[16];
	uint8_t volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression;
	uint16_t extra_devices;
	uint16_t device_slot;
	uint8_t dir_block_bits;
	uint8_t reserved[37];
};
static_assert(sizeof(struct erofs_super) == 128, "EROFS super block");

struct erofs_inode {
	uint16_t format;
	uint16_t xattr_count;
	uint16_t mode;
	uint16_t reserved;
	uint64_t size;
	uint32_t u; /* start block, device number, or chunk format */
	uint32_t ino;
	uint32_t uid;
	uint32_t gid;
	uint64_t mtime;
	uint32_t mtime_nsec;
	uint32_t nlink;
	uint8_t reserved2[16];
};
static_assert(sizeof(struct erofs_inode) == 64, "EROFS extended inode");

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset;
	uint8_t type;
	uint8_t reserved;
} __attribute__((packed));
static_assert(sizeof(struct erofs_dirent) == 12, "EROFS directory entry");

struct erofs_xattr_header {
	uint32_t name_filter;
	uint8_t shared_count;
	uint8_t reserved[7];
};
static_assert(sizeof(struct erofs_xattr_header) == 12, "EROFS xattr header");

struct erofs_xattr_entry {
	uint8_t name_len;
	uint8_t name_index;
	uint16_t value_size;
};
static_assert(sizeof(struct erofs_xattr_entry) == 4, "EROFS xattr entry");

/* What an inode's 16-bit count allows its attributes to take, header included. */
#define EROFS_XATTR_MAX (sizeof(struct erofs_xattr_header) + (size_t)4 * (UINT16_MAX - 1))
