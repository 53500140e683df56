/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a machine under measurement: loads /modules (in the order of its names),
 * reads and writes the disk /dev/vda, the folder of the tag `share` and a peer beyond its network
 * interface, each for `seconds` of its environment (the kernel's command line), and says on the
 * console "@IO NAME FIGURE" for each, "@END" at the end; with `only=block`, `fs` or `net` there one
 * of the three. As `io_guest peer ADDRESS` it is that peer, on the host.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT = 5001,
	CHUNK = 256 * 1024, /* of a stream, to a disk or over TCP */
	PAGE = 4096,
	DEPTH = 16,
};

#define GUEST_ADDRESS "10.99.0.2"
#define HOST_ADDRESS  "10.99.0.1"

static char *buffer; /* CHUNK bytes, aligned for direct I/O */
static double seconds = 1.0;
static int kernel_log = -1;

/* By way of the kernel, whose console every monitor has. */
static void say(const char *text)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "<0>%s", text);

	(void)!write(kernel_log, line, (size_t)n);
}

static void tell(const char *name, double figure)
{
	char line[80];

	(void)snprintf(line, sizeof(line), "@IO %s %.3f\n", name, figure);
	say(line);
}

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- the disk --- */

static void disk_stream(int fd, bool write, off_t size)
{
	double start = now();
	double bytes = 0;
	off_t at = 0;

	while (now() - start < seconds) {
		ssize_t n = write ? pwrite(fd, buffer, CHUNK, at) : pread(fd, buffer, CHUNK, at);
		if (n != CHUNK)
			return;
		bytes += CHUNK;
		at = (at + CHUNK) % size;
	}
	if (write)
		(void)fdatasync(fd);
	tell(write ? "block-write-MB/s" : "block-read-MB/s", bytes / 1e6 / (now() - start));
}

/* Random pages, `depth` of them on their way at any time. */
static void disk_random(int fd, bool write, off_t size, int depth)
{
	struct iocb blocks[DEPTH];
	struct iocb *list[DEPTH];
	struct io_event events[DEPTH];
	aio_context_t context = 0;
	unsigned state = 1;
	char name[40];
	long ready = depth;
	double done = 0;

	if (syscall(SYS_io_setup, DEPTH, &context) < 0)
		return;
	for (int i = 0; i < depth; i++)
		list[i] = &blocks[i];
	double start = now();
	while (now() - start < seconds) {
		for (long i = 0; i < ready; i++) {
			state = state * 1103515245 + 12345;
			off_t page = (off_t)(state >> 4) % (size / PAGE);
			*list[i] = (struct iocb){.aio_fildes = (uint32_t)fd,
						 .aio_lio_opcode = write ? IOCB_CMD_PWRITE
									 : IOCB_CMD_PREAD,
						 .aio_buf = (uintptr_t)buffer +
							    (size_t)(list[i] - blocks) * PAGE,
						 .aio_nbytes = PAGE,
						 .aio_offset = page * PAGE};
		}
		if (syscall(SYS_io_submit, context, ready, list) != ready)
			return;
		ready = syscall(SYS_io_getevents, context, 1L, (long)depth, events, NULL);
		for (long i = 0; i < ready; i++) {
			if (events[i].res != PAGE)
				return;
			list[i] = (struct iocb *)(uintptr_t)events[i].obj;
		}
		done += (double)ready;
	}
	double took = now() - start;
	(void)syscall(SYS_io_destroy, context);
	(void)snprintf(name, sizeof(name), "block-4k-%s-depth-%d/s", write ? "writes" : "reads",
		       depth);
	tell(name, done / took);
}

static void measure_disk(void)
{
	int fd = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (size < CHUNK)
		return;
	disk_stream(fd, true, size);
	disk_stream(fd, false, size);
	disk_random(fd, false, size, 1);
	disk_random(fd, false, size, DEPTH);
	disk_random(fd, true, size, DEPTH);
	(void)close(fd);
}

/* --- the share --- */

/* Pages, names and attributes are the host's affair again. */
static void forget(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "3", 1) != 1)
		say("cannot drop caches\n");
	(void)close(fd);
}

/* How many bytes, or files, one pass over them brought; negative: it failed. */
typedef double pass_fn(void);

static double read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	double bytes = 0;

	if (fd < 0)
		return -1;
	for (ssize_t n; (n = read(fd, buffer, CHUNK)) > 0;)
		bytes += (double)n;
	(void)close(fd);
	return bytes;
}

static double read_big(void)
{
	double bytes = read_file("/share/big");

	return bytes < 0 ? bytes : bytes / 1e6;
}

static double write_big(void)
{
	int fd = open("/share/new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	double bytes = 0;

	for (int i = 0; i < 32; i++)
		bytes += (double)write(fd, buffer, CHUNK);
	(void)close(fd);
	return bytes < 32 * CHUNK ? -1 : bytes / 1e6;
}

static double each_small(bool look)
{
	char path[300];
	struct stat st;
	double files = 0;
	DIR *dir = opendir("/share/small");

	if (!dir)
		return -1;
	for (struct dirent *e; (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/share/small/%s", e->d_name);
		if (look ? stat(path, &st) < 0 : read_file(path) < 0)
			return -1;
		files++;
	}
	(void)closedir(dir);
	return files;
}

static double read_small(void)
{
	return each_small(false);
}

static double stat_small(void)
{
	return each_small(true);
}

/* Pass after pass, each begun with nothing cached unless `warm`; what caching costs is not
 * counted. */
static void passes(const char *name, pass_fn *pass, bool warm)
{
	double done = 0;
	double took = 0;

	if (warm)
		(void)pass();
	for (double end = now() + 2 * seconds; took < seconds && now() < end;) {
		if (!warm)
			forget();
		double start = now();
		double some = pass();
		if (some < 0)
			return;
		took += now() - start;
		done += some;
	}
	tell(name, done / took);
}

static void measure_share(void)
{
	(void)mkdir("/share", 0700);
	if (mount("share", "/share", "virtiofs", 0, NULL) < 0)
		return;
	passes("fs-read-MB/s", read_big, false);
	passes("fs-write-MB/s", write_big, false);
	passes("fs-small-files/s", read_small, false);
	passes("fs-small-files-again/s", read_small, true);
	passes("fs-stats/s", stat_small, false);
	(void)umount("/share");
}

/* --- the network --- */

static struct sockaddr_in address(const char *text, in_port_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

	(void)inet_pton(AF_INET, text, &at.sin_addr);
	return at;
}

static int interface_up(void)
{
	struct ifreq ifr = {.ifr_name = "eth0"};
	struct sockaddr_in own = address(GUEST_ADDRESS, 0);
	struct sockaddr_in mask = address("255.255.255.0", 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&ifr.ifr_addr, &own, sizeof(own));
	int r = ioctl(fd, SIOCSIFADDR, &ifr);
	memcpy(&ifr.ifr_netmask, &mask, sizeof(mask));
	r = r < 0 ? r : ioctl(fd, SIOCSIFNETMASK, &ifr);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	r = r < 0 ? r : ioctl(fd, SIOCSIFFLAGS, &ifr);
	(void)close(fd);
	return r;
}

/* A connection to the peer, which does as `mode` says. */
static int call_peer(char mode)
{
	struct sockaddr_in at = address(HOST_ADDRESS, PORT);
	struct timeval patience = {.tv_sec = 10};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && write(fd, &mode, 1) == 1)
		return fd;
	(void)close(fd);
	return -1;
}

static void net_send(void)
{
	int fd = call_peer('s');
	double start = now();
	double bytes = 0;

	while (fd >= 0 && now() - start < seconds) {
		ssize_t n = write(fd, buffer, CHUNK);
		if (n <= 0)
			return;
		bytes += (double)n;
	}
	/* all has come when the peer says so */
	(void)shutdown(fd, SHUT_WR);
	if (read(fd, buffer, 1) == 1)
		tell("net-send-MB/s", bytes / 1e6 / (now() - start));
	(void)close(fd);
}

static void net_receive(void)
{
	int fd = call_peer('r');
	double start = now();
	double bytes = 0;

	while (fd >= 0 && now() - start < seconds) {
		ssize_t n = read(fd, buffer, CHUNK);
		if (n <= 0)
			return;
		bytes += (double)n;
	}
	tell("net-receive-MB/s", bytes / 1e6 / (now() - start));
	(void)close(fd);
}

static void net_ask(void)
{
	int fd = call_peer('e');
	double start = now();
	long answers = 0;

	for (; fd >= 0 && now() - start < seconds; answers++) {
		if (write(fd, buffer, 1) != 1 || read(fd, buffer, 1) != 1)
			return;
	}
	tell("net-requests/s", (double)answers / (now() - start));
	(void)close(fd);
}

static void measure_net(void)
{
	if (interface_up() < 0)
		return;
	net_send();
	net_receive();
	net_ask();
}

/* --- the peer --- */

static void serve_peer(int fd)
{
	int one = 1;
	char mode = 0;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (read(fd, &mode, 1) != 1)
		return;
	if (mode == 'r') {
		while (write(fd, buffer, CHUNK) > 0)
			;
		return;
	}
	for (ssize_t n; (n = read(fd, buffer, CHUNK)) > 0;) {
		if (mode == 'e' && write(fd, buffer, (size_t)n) != n)
			return;
	}
	(void)!write(fd, buffer, 1);
}

static int peer(const char *own)
{
	struct sockaddr_in at = address(own, PORT);
	int one = 1;
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(server, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(server, 8) < 0) {
		perror("peer");
		return 1;
	}
	for (;;) {
		int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && fork() == 0) {
			serve_peer(fd);
			_exit(0);
		}
		(void)close(fd);
	}
}

/* --- the machine --- */

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_modules(void)
{
	struct dirent **names = NULL;
	char path[300];
	int n = scandir("/modules", &names, NULL, by_name);

	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/modules/%s", names[i]->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
			say("a module does not load\n");
		(void)close(fd);
	}
}

/* Devices are found by threads of the kernel's. */
static void wait_for(const char *path)
{
	for (int i = 0; i < 100 && access(path, F_OK) < 0; i++)
		(void)usleep(50 * 1000);
}

/* `only` of its environment names one kind of device; empty: all. */
static bool wanted(const char *kind)
{
	const char *only = getenv("only");

	return !only || !only[0] || strcmp(only, kind) == 0;
}

int main(int argc, char **argv)
{
	const char *given = getenv("seconds");

	buffer = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		return 1;
	memset(buffer, 'x', CHUNK);
	if (argc == 3 && strcmp(argv[1], "peer") == 0)
		return peer(argv[2]);
	if (getpid() != 1)
		return 1;
	if (given)
		seconds = strtod(given, NULL);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	kernel_log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("sys", "/sys", "sysfs", 0, NULL);
	load_modules();
	wait_for("/dev/vda");
	wait_for("/sys/class/net/eth0");
	if (wanted("block"))
		measure_disk();
	if (wanted("fs"))
		measure_share();
	if (wanted("net"))
		measure_net();
	say("@END\n");
	(void)reboot(RB_POWER_OFF);
	return 2;
}
