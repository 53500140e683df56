/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a machine under test: says so on the serial line, by ports and not by a
 * driver, then does what `act` on the kernel's command line (its environment) says.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { SERIAL = 0x3f8, SECTOR = 512, PACE_US = 20000 };
enum { LATER_BYTES = 160 << 20, PAGE = 4096, PARTS = 64 };
enum { HOST = 0x0a620001, OWN = 0x0a620002 }; /* 10.98.0.1 and 2 */

static void say(const char *text)
{
	while (*text)
		outb((unsigned char)*text++, SERIAL);
}

/* Drivers that lie in the initramfs, in the order in which they need one another. */
static void load_drivers(void)
{
	static const char *const files[] = {"/virtio_mmio.ko",  "/virtio_blk.ko",
					    "/virtio_mem.ko",   "/failover.ko",
					    "/net_failover.ko", "/virtio_net.ko"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			(void)syscall(SYS_finit_module, fd, "", 0);
		(void)close(fd);
	}
}

/* Writes n to the disk past all caches and reads it from there; whether it is the same. */
static int keeps(int disk, unsigned n)
{
	static unsigned sector[SECTOR / sizeof(unsigned)] __attribute__((aligned(SECTOR)));

	sector[0] = n;
	if (pwrite(disk, sector, SECTOR, 0) != SECTOR)
		return 0;
	sector[0] = 0;
	return pread(disk, sector, SECTOR, 0) == SECTOR && sector[0] == n;
}

/* Once there is more memory than at the start: fills more than that was, and looks at a part of it
 * for each n; whether it is as it was filled. */
static int memory_keeps(int line, unsigned n)
{
	static char *memory;
	struct sysinfo info;

	if (!memory && sysinfo(&info) == 0 && info.totalram * info.mem_unit > LATER_BYTES) {
		memory = mmap(NULL, LATER_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (size_t i = 0; i < LATER_BYTES; i += PAGE)
			memcpy(memory + i, &i, sizeof(i));
		(void)!write(line, "<0>@FILLED\n", 11);
	}
	for (size_t i = n % PARTS * PAGE; memory && i < LATER_BYTES; i += PARTS * PAGE) {
		if (memcmp(memory + i, &i, sizeof(i)) != 0)
			return 0;
	}
	return 1;
}

/* A disk that comes later, to the device that `later` on the command line names. */
static int later_disk(int line)
{
	const char *device = getenv("later");
	int bind = device ? open("/sys/bus/platform/drivers/virtio-mmio/bind", O_WRONLY | O_CLOEXEC)
			  : -1;

	if (bind >= 0)
		(void)!write(bind, device, strlen(device));
	(void)close(bind);
	int disk = device ? open("/dev/vdb", O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
	if (disk >= 0)
		(void)!write(line, "<0>@LATER\n", 10);
	return disk;
}

/* Counts for ever on one processor, into the kernel's log, which goes to the serial line; the first
 * one's numbers go through the disks, if there are any, and into the port. */
static void count(int cpu)
{
	int line = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	int disk = cpu == 0 ? open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
	int port = -1, later = -1;
	cpu_set_t set;
	char text[64];

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	for (unsigned n = 1;; n++) {
		if (port < 0 && cpu == 0) /* its driver takes a moment */
			port = open("/dev/vport1p0", O_WRONLY | O_CLOEXEC);
		if (later < 0 && cpu == 0)
			later = later_disk(line);
		bool kept = (later < 0 || keeps(later, n)) && (cpu > 0 || memory_keeps(line, n));
		const char *how = disk < 0 ? "-" : kept && keeps(disk, n) ? "kept" : "lost";
		int len = snprintf(text, sizeof(text), "<0>@COUNT %d %u %s\n", cpu, n, how);
		if (write(line, text, (size_t)len) != len ||
		    (port >= 0 && write(port, text, (size_t)len) != len))
			return;
		(void)usleep(PACE_US);
	}
}

static void count_everywhere(int cpus)
{
	(void)mkdir("/dev", 0755);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	(void)mkdir("/sys", 0755);
	(void)mount("sys", "/sys", "sysfs", 0, NULL);
	load_drivers();
	for (int cpu = 1; cpu < cpus; cpu++) {
		if (fork() == 0)
			count(cpu);
	}
	count(0);
}

/* --- files of a share --- */

enum { FIXED = 4096, ENTRIES = 40 };

/* What a process has open: a file it appends to, one it reads, a folder it lists in pieces. */
struct files {
	char at[32];
	int log, fixed, folder;
	unsigned char seen[ENTRIES];
};

static int open_files(struct files *f, int cpu)
{
	(void)snprintf(f->at, sizeof(f->at), "/share/%d", cpu);
	if (chdir(f->at) < 0)
		return 0;
	f->log = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
	f->fixed = open("fixed", O_RDONLY | O_DIRECT | O_CLOEXEC);
	f->folder = open("folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return f->log >= 0 && f->fixed >= 0 && f->folder >= 0;
}

/* What is there does not change, and does not come from the guest's own memory. */
static int reads(const struct files *f, unsigned n)
{
	unsigned char bytes[64];
	off_t at = n % 64 * (off_t)sizeof(bytes);

	if (pread(f->fixed, bytes, sizeof(bytes), at) != sizeof(bytes))
		return 0;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (bytes[i] != (unsigned char)((at + (off_t)i) * 7))
			return 0;
	}
	return 1;
}

/* Lists a few entries more; at the end, each was there once. */
static int lists(struct files *f)
{
	_Alignas(struct dirent64) char bytes[sizeof(struct dirent64)]; /* for a few short names */

	long n = syscall(SYS_getdents64, f->folder, bytes, 100);
	for (long at = 0; at < n;) {
		const struct dirent64 *e = (const void *)(bytes + at);
		int number = 0;
		if (sscanf(e->d_name, "entry-%d", &number) == 1 && number < ENTRIES &&
		    f->seen[number]++)
			return 0;
		at += e->d_reclen;
	}
	if (n != 0)
		return n > 0;
	for (int i = 0; i < ENTRIES; i++) {
		if (!f->seen[i])
			return 0;
		f->seen[i] = 0;
	}
	return lseek(f->folder, 0, SEEK_SET) == 0;
}

static int renames(unsigned n)
{
	char from[16], to[16];
	struct stat st;

	(void)snprintf(from, sizeof(from), "name-%u", n % 2);
	(void)snprintf(to, sizeof(to), "name-%u", (n + 1) % 2);
	return rename(from, to) == 0 && stat(to, &st) == 0 && stat(from, &st) < 0;
}

/* Counts for ever, into the file and into the kernel's log. */
static void use_files(int cpu)
{
	int line = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	struct files f = {.log = -1};
	cpu_set_t set;
	char text[64];

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	if (!open_files(&f, cpu))
		(void)!write(line, "<0>@NOFILES\n", 12);
	for (unsigned n = 1;; n++) {
		int len = snprintf(text, sizeof(text), "%u\n", n);
		const char *how = write(f.log, text, (size_t)len) != len ? "not written"
				  : !reads(&f, n)                        ? "not read"
				  : !lists(&f)                           ? "not listed"
				  : !renames(n)                          ? "not renamed"
									 : "kept";
		len = snprintf(text, sizeof(text), "<0>@COUNT %d %u %s\n", cpu, n, how);
		if (write(line, text, (size_t)len) != len)
			return;
		(void)usleep(PACE_US);
	}
}

static void use_files_everywhere(int cpus)
{
	(void)mkdir("/dev", 0755);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	load_drivers();
	(void)mkdir("/share", 0755);
	for (int i = 0; mount("tag", "/share", "virtiofs", 0, NULL) < 0 && i < 100; i++)
		(void)usleep(50 * 1000);
	for (int cpu = 1; cpu < cpus; cpu++) {
		if (fork() == 0)
			use_files(cpu);
	}
	use_files(0);
}

/* An address and a network, and packets as large as they may be when they are asked for; whether
 * the interface is there. */
static int bring_up(int mtu)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(OWN)};
	struct sockaddr_in mask = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xffffff00)};
	struct ifreq ifr = {.ifr_name = "eth0"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	load_drivers();
	memcpy(&ifr.ifr_addr, &own, sizeof(own));
	for (int i = 0; ioctl(fd, SIOCSIFADDR, &ifr) < 0 && i < 100; i++)
		(void)usleep(50 * 1000);
	memcpy(&ifr.ifr_addr, &mask, sizeof(mask));
	(void)ioctl(fd, SIOCSIFNETMASK, &ifr);
	ifr.ifr_mtu = mtu;
	(void)ioctl(fd, SIOCSIFMTU, &ifr);
	ifr.ifr_flags = IFF_UP;
	int r = ioctl(fd, SIOCSIFFLAGS, &ifr);
	(void)close(fd);
	return r == 0;
}

/* Sends every datagram back to where it came from. */
static void echo(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(OWN),
				  .sin_port = htons(7)};
	struct sockaddr_in from;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char bytes[2048];

	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		return;
	say("@ECHO\n");
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
		if (n >= 0)
			(void)sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

/* Tells when the interface's carrier comes and goes; into the kernel's log, for the emulated
 * processor of the lab lets nobody but the kernel use ports in a machine that was restored. */
static void tell_carrier(void)
{
	struct ifreq ifr = {.ifr_name = "eth0"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)mkdir("/dev", 0755);
	(void)mount("dev", "/dev", "devtmpfs", 0, NULL);
	FILE *line = fopen("/dev/kmsg", "we");
	for (int was = 0; line && ioctl(fd, SIOCGIFFLAGS, &ifr) == 0; (void)usleep(PACE_US)) {
		int is = ifr.ifr_flags & IFF_RUNNING;
		if (is != was)
			(void)fprintf(line, "<0>@CARRIER %s\n", is ? "on" : "off");
		(void)fflush(line);
		was = is;
	}
}

/* Sends back all that comes over a connection. */
static void send_back(int fd)
{
	static char bytes[65536];
	ssize_t n, r = 1;

	while (r > 0 && (n = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		for (ssize_t at = 0; at < n && r > 0; at += r)
			r = send(fd, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);
	}
}

/* Connects to the host whenever it listens. */
static void relay(void)
{
	struct sockaddr_in host = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(HOST),
				   .sin_port = htons(10008)};

	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&host, sizeof(host)) == 0)
			send_back(fd);
		(void)close(fd);
		(void)usleep(5 * PACE_US);
	}
}

static void talk(void)
{
	if (!bring_up(65520))
		return;
	if (fork() == 0)
		tell_carrier();
	else if (fork() == 0)
		echo();
	else
		relay();
}

int main(void)
{
	const char *act = getenv("act");
	struct timespec up;
	struct sysinfo info;
	char line[128];

	if (iopl(3) < 0)
		return 1;
	(void)clock_gettime(CLOCK_MONOTONIC, &up);
	(void)sysinfo(&info);
	(void)snprintf(line, sizeof(line), "@INIT up_ms=%lld total_kib=%lu cpus=%d\n",
		       (long long)up.tv_sec * 1000 + up.tv_nsec / 1000000,
		       info.totalram * info.mem_unit / 1024, get_nprocs());
	say(line);
	if (act && strcmp(act, "panic") == 0)
		return 3;
	if (act && strcmp(act, "restart") == 0) /* with reboot=t this is a triple fault */
		(void)reboot(RB_AUTOBOOT);
	if (act && strcmp(act, "count") == 0)
		count_everywhere(get_nprocs());
	if (act && strcmp(act, "files") == 0)
		use_files_everywhere(get_nprocs());
	if (act && strcmp(act, "echo") == 0 && bring_up(1500))
		echo();
	if (act && strcmp(act, "talk") == 0)
		talk();
	if (act && strcmp(act, "stay") == 0)
		(void)pause();
	(void)reboot(RB_POWER_OFF);
	return 2;
}
