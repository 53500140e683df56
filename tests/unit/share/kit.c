/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/path.h"
#include "share/share.h"

enum { NONE = 4711 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool confined = false; /* the sanitizers ask for more */
#else
static const bool confined = true;
#endif

static int prepare(int dir, int state, struct err *err)
{
	uint32_t checksum;

	int proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = nodes_init(dup(dir), err);
	if (r == 0 && fchdir(proc) < 0)
		r = err_sys(err, "enter /proc/self/fd");
	(void)umask(0);
	if (r < 0 || state < 0)
		return r;
	r = share_load(state, &checksum, err);
	if (r == 0)
		share_made_from(checksum);
	return r;
}

static void child(const struct kit *k, int wire, int state)
{
	struct err err = ERR_INIT;

	int r = prepare(k->dir, state, &err);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(7);
	if (r == 0)
		r = share_serve(wire, confined, &err);
	(void)dprintf(k->complaint, "%s", err.msg);
	_exit(r < 0 ? 8 : 7);
}

int kit_folder(struct kit *k)
{
	static uint8_t body[KIT_BYTES_MAX];

	*k = (struct kit){.body = body,
			  .dir = -1,
			  .wire = -1,
			  .file = -1,
			  .complaint = memfd_create("complaint", MFD_CLOEXEC),
			  .folder = "/tmp/hull-share-XXXXXX"};
	if (!mkdtemp(k->folder))
		return -1;
	k->dir = open(k->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

int kit_go_on(struct kit *k, int state)
{
	struct timeval patience = {.tv_sec = 15};
	int pair[2];

	(void)kit_stop(k);
	k->sent = 0;
	if (ftruncate(k->complaint, 0) < 0 || lseek(k->complaint, 0, SEEK_SET) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	k->pid = fork();
	if (k->pid == 0) {
		(void)close(pair[0]); /* or it would never see the end */
		child(k, pair[1], state);
	}
	(void)close(pair[1]);
	k->wire = pair[0];
	return 0;
}

int kit_start(struct kit *k, uint32_t flags)
{
	struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = 38, .flags = flags};

	if (kit_folder(k) < 0 || kit_go_on(k, -1) < 0)
		return -1;
	return kit_ask(k, FUSE_INIT, 0, &init, offsetof(struct fuse_init_in, flags2), NULL, 0);
}

bool kit_stop(struct kit *k)
{
	int status = -1;

	auto_close(&k->wire);
	if (k->pid > 0)
		(void)waitpid(k->pid, &status, 0);
	k->pid = 0;
	return status == 0;
}

const char *kit_complaint(const struct kit *k)
{
	static char text[ERR_MSG_MAX];

	ssize_t n = pread(k->complaint, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

void kit_done(struct kit *k)
{
	struct err ignored = ERR_INIT;

	(void)kit_stop(k);
	auto_close(&k->dir);
	auto_close(&k->file);
	auto_close(&k->complaint);
	AUTO_CLOSE int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tmp >= 0)
		(void)!path_remove_all(tmp, k->folder + strlen("/tmp/"), &ignored);
}

int kit_ask(struct kit *k, uint32_t opcode, uint64_t node, const void *fixed, size_t n_fixed,
	    const void *text, size_t n_text)
{
	static uint8_t bytes[KIT_BYTES_MAX];
	struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + n_fixed + n_text),
				    .opcode = opcode,
				    .unique = ++k->unique,
				    .nodeid = node};

	memcpy(bytes, &in, sizeof(in));
	if (n_fixed > 0)
		memcpy(bytes + sizeof(in), fixed, n_fixed);
	if (n_text > 0)
		memcpy(bytes + sizeof(in) + n_fixed, text, n_text);
	if (send(k->wire, bytes, in.len, MSG_NOSIGNAL) != (ssize_t)in.len)
		return NONE;
	k->sent++;
	auto_close(&k->file);
	size_t n_files = 1;
	ssize_t n = fd_receive(k->wire, bytes, sizeof(bytes), &k->file, &n_files);
	if (n < (ssize_t)sizeof(k->head))
		return NONE;
	memcpy(&k->head, bytes, sizeof(k->head));
	k->n = (size_t)n - sizeof(k->head);
	memcpy(k->body, bytes + sizeof(k->head), k->n);
	return k->head.unique == in.unique ? -k->head.error : NONE;
}

void kit_tell(struct kit *k, uint32_t opcode, uint64_t node, const void *fixed, size_t n)
{
	uint8_t bytes[256];
	struct fuse_in_header in = {.len = (uint32_t)(sizeof(in) + n),
				    .opcode = opcode,
				    .nodeid = node};

	memcpy(bytes, &in, sizeof(in));
	memcpy(bytes + sizeof(in), fixed, n);
	k->sent += send(k->wire, bytes, in.len, MSG_NOSIGNAL) > 0;
}

int kit_open(struct kit *k, uint64_t node, uint32_t flags, struct fuse_open_out *ret)
{
	struct fuse_open_in in = {.flags = flags};

	if (kit_ask(k, FUSE_OPEN, node, &in, sizeof(in), NULL, 0) != 0)
		return -1;
	memcpy(ret, k->body, sizeof(*ret));
	return TAKE_FD(k->file);
}

void kit_put(const struct kit *k, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(k->dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
}

uint64_t kit_node(const struct kit *k)
{
	struct fuse_entry_out e;

	memcpy(&e, k->body, sizeof(e));
	return e.nodeid;
}

uint64_t kit_handle(const struct kit *k, size_t at)
{
	struct fuse_open_out o;

	memcpy(&o, k->body + at, sizeof(o));
	return o.fh;
}
