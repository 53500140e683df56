/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include <signal.h>

#include "proto/control.h"

static struct keeper_port loopback(bool udp)
{
	static char ip[] = "127.0.0.1";

	return (struct keeper_port){.host_ip = ip, .port = 80, .udp = udp};
}

static void serves(bool udp, int *answer)
{
	struct err err = ERR_INIT;
	struct keeper_port port = loopback(udp);
	AUTO(auto_ports_free) struct ports *set = NULL;

	*answer = 99;
	EXPECT(lab_enter());
	EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
	EXPECT(port.host_port > 0);
	pid_t server =
		lab_server(-1, &(struct lab_peer){.address = 0x7f000002, .port = 80, .udp = udp});
	pid_t k = lab_keeper(set, 0x7f000002);
	struct lab_peer peer = {.address = 0x7f000001,
				.port = (uint16_t)port.host_port,
				.udp = udp};
	*answer = lab_in(-1, lab_ask, &peer);
	lab_stop(k);
	lab_stop(server);
}

TEST(a_connection_to_a_bound_port_reaches_the_workload)
{
	int answer;

	serves(false, &answer);
	EXPECT_EQ(answer, 0);
}

TEST(a_datagram_to_a_bound_port_is_answered)
{
	int answer;

	serves(true, &answer);
	EXPECT_EQ(answer, 0);
}

TEST(a_bound_port_is_refused_to_the_next_with_its_name)
{
	struct err err = ERR_INIT;
	struct keeper_port port = loopback(false);
	AUTO(auto_ports_free) struct ports *first = NULL;
	AUTO(auto_ports_free) struct ports *second = NULL;
	char text[PORT_TEXT];

	EXPECT(lab_enter());
	EXPECT_EQ(ports_bind(&port, 1, &first, &err), 0);
	EXPECT_EQ(ports_bind(&port, 1, &second, &err), -EADDRINUSE);
	(void)snprintf(text, sizeof(text), "port 127.0.0.1:%u/tcp is in use", port.host_port);
	EXPECT_STR(err.msg, text);

	struct keeper_port all = {.host_port = port.host_port, .port = 80};
	err = ERR_INIT;
	EXPECT_EQ(ports_bind(&all, 1, &second, &err), -EADDRINUSE);
	(void)snprintf(text, sizeof(text), "port 0.0.0.0:%u/tcp is in use", port.host_port);
	EXPECT_STR(err.msg, text);

	struct keeper_port udp = port;
	udp.udp = true;
	err = ERR_INIT;
	EXPECT_EQ(ports_bind(&udp, 1, &second, &err), 0);
}

TEST(a_freed_port_can_be_bound_again_at_once)
{
	int answer;
	struct err err = ERR_INIT;
	struct keeper_port port = loopback(false);
	AUTO(auto_ports_free) struct ports *set = NULL;

	serves(false, &answer);
	EXPECT_EQ(answer, 0);
	EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
	ports_free(TAKE_PTR(set));
	EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
}

TEST(an_address_of_another_host_is_refused)
{
	struct err err = ERR_INIT;
	char ip[] = "192.0.2.77";
	struct keeper_port port = {.host_ip = ip, .host_port = 80, .port = 80};
	struct ports *set = NULL;

	EXPECT(lab_enter());
	EXPECT_EQ(ports_bind(&port, 1, &set, &err), -EADDRNOTAVAIL);
	EXPECT_STR(err.msg, "port 192.0.2.77:80/tcp: this host has no such address");
}

TEST(of_several_ports_all_are_bound_or_none)
{
	struct err err = ERR_INIT;
	struct keeper_port ports[3] = {loopback(false), loopback(false), loopback(true)};
	struct ports *set = NULL;
	AUTO(auto_ports_free) struct ports *again = NULL;

	EXPECT(lab_enter());
	ports[0].host_port = 8080;
	ports[1].host_port = 8080;
	EXPECT_EQ(ports_bind(ports, 3, &set, &err), -EADDRINUSE);
	err = ERR_INIT;
	EXPECT_EQ(ports_bind(ports, 1, &again, &err), 0);
}

/* Both families of the port answer. */
static int ask_both(const void *arg)
{
	const struct lab_peer *to = arg;
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6,
				    .sin6_port = htons(to->port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char reply[8] = "";

	AUTO_CLOSE int fd = socket(AF_INET6, (to->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
				   0);
	if (connect(fd, (const struct sockaddr *)&sin6, sizeof(sin6)) < 0)
		return 10;
	if (send(fd, "x", 1, 0) != 1 || recv(fd, reply, sizeof(reply), 0) != 5)
		return 11;
	return lab_ask(arg);
}

TEST(a_port_without_an_address_answers_in_both_families)
{
	for (int udp = 0; udp < 2; udp++) {
		struct err err = ERR_INIT;
		struct keeper_port port = {.port = 80, .udp = udp};
		AUTO(auto_ports_free) struct ports *set = NULL;
		struct lab_peer at = {.address = 0x7f000002, .port = 80, .udp = udp};

		EXPECT(lab_enter());
		EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
		pid_t server = lab_server(-1, &at);
		pid_t k = lab_keeper(set, 0x7f000002);
		at = (struct lab_peer){0x7f000001, (uint16_t)port.host_port, udp};
		int answer = lab_in(-1, ask_both, &at);
		/* a datagram's answer comes from the address that was asked */
		at.address = 0x7f000009;
		int elsewhere = lab_in(-1, lab_ask, &at);
		lab_stop(k);
		lab_stop(server);
		EXPECT_EQ(answer, 0);
		EXPECT_EQ(elsewhere, 0);
	}
}

static int connect_to(uint32_t address, uint32_t port)
{
	struct sockaddr_in sin = lab_sockaddr(address, (uint16_t)port);
	struct timeval limit = {.tv_sec = 5};

	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* A workload by hand: a listener on 127.0.0.2:80 in this process. */
static int listener(void)
{
	struct sockaddr_in sin = lab_sockaddr(0x7f000002, 80);
	int on = 1;

	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, 600) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* Both ends of a relayed connection, and the keeper between them. */
struct pair {
	int caller, workload, listener;
	pid_t keeper;
	uint32_t port;
	struct ports *set;
};

static bool pair_open(struct pair *p)
{
	struct err err = ERR_INIT;
	struct keeper_port port = loopback(false);

	*p = (struct pair){-1, -1, -1, 0, 0, NULL};
	if (!lab_enter() || ports_bind(&port, 1, &p->set, &err) < 0)
		return false;
	p->port = port.host_port;
	p->keeper = lab_keeper(p->set, 0x7f000002);
	p->listener = listener();
	p->caller = connect_to(0x7f000001, p->port);
	p->workload = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = {.tv_sec = 5};
	(void)setsockopt(p->workload, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return p->caller >= 0 && p->workload >= 0;
}

static void pair_close(struct pair *p)
{
	auto_close(&p->caller);
	auto_close(&p->workload);
	auto_close(&p->listener);
	lab_stop(p->keeper);
	ports_free(p->set);
}

#define AUTO_PAIR AUTO(pair_close)

TEST(the_end_of_one_direction_leaves_the_other_open)
{
	AUTO_PAIR struct pair p;
	char text[8] = "";

	EXPECT(pair_open(&p));
	EXPECT_EQ(send(p.caller, "ask", 3, 0), 3);
	EXPECT_EQ(shutdown(p.caller, SHUT_WR), 0);
	EXPECT_EQ(recv(p.workload, text, sizeof(text), MSG_WAITALL), 3);
	EXPECT_EQ(send(p.workload, "answer", 6, 0), 6);
	auto_close(&p.workload);
	EXPECT_EQ(recv(p.caller, text, sizeof(text), MSG_WAITALL), 6);
}

TEST(a_reset_of_one_side_resets_the_other)
{
	AUTO_PAIR struct pair p;
	struct linger now = {.l_onoff = 1};
	char text[8];

	EXPECT(pair_open(&p));
	EXPECT_EQ(setsockopt(p.workload, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	auto_close(&p.workload);
	EXPECT_EQ(recv(p.caller, text, sizeof(text), 0), -1);
	EXPECT_EQ(errno, ECONNRESET);
}

TEST(a_caller_is_reset_when_nobody_listens_in_the_workload)
{
	AUTO_PAIR struct pair p;
	char text[8];

	EXPECT(pair_open(&p));
	auto_close(&p.listener);
	AUTO_CLOSE int fd = connect_to(0x7f000001, p.port);
	EXPECT(fd >= 0);
	EXPECT_EQ(recv(fd, text, sizeof(text), 0), -1);
	EXPECT_EQ(errno, ECONNRESET);
}

enum { FLOOD = 32 * 1024 * 1024 };

/* Writes FLOOD bytes of a pattern and ends the direction. */
static pid_t flood(int fd)
{
	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		static unsigned char chunk[8191];
		size_t sent = 0;
		(void)alarm(50);
		while (sent < FLOOD) {
			size_t n = sizeof(chunk) < FLOOD - sent ? sizeof(chunk) : FLOOD - sent;
			for (size_t i = 0; i < n; i++)
				chunk[i] = (unsigned char)((sent + i) * 7 >> 3);
			for (size_t done = 0; done < n;) {
				ssize_t w = send(fd, chunk + done, n - done, MSG_NOSIGNAL);
				if (w < 0)
					_exit(1);
				done += (size_t)w;
			}
			sent += n;
		}
		_exit(shutdown(fd, SHUT_WR) < 0);
	}
	return pid;
}

/* How many bytes of the pattern came before the end. */
static size_t drain(int fd, bool slowly)
{
	static unsigned char chunk[65536];
	size_t at = 0;

	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
		if (n <= 0)
			return n < 0 ? 0 : at;
		for (size_t i = 0; i < (size_t)n; i++) {
			if (chunk[i] != (unsigned char)((at + i) * 7 >> 3))
				return 0;
		}
		at += (size_t)n;
		if (slowly && at < 4096 * 1024)
			(void)usleep(1000);
	}
}

TEST(a_flood_arrives_whole_at_a_slow_reader_in_both_directions)
{
	for (int way = 0; way < 2; way++) {
		AUTO_PAIR struct pair p;

		EXPECT(pair_open(&p));
		pid_t writer = flood(way ? p.workload : p.caller);
		size_t got = drain(way ? p.caller : p.workload, true);
		lab_stop(writer);
		EXPECT_EQ(got, FLOOD);
	}
}

/* Bytes of private memory of a process. */
static long private_bytes(pid_t pid)
{
	char path[64];
	char line[256];
	long total = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		long kib;
		if (sscanf(line, "Private_Dirty: %ld kB", &kib) == 1)
			total = kib * 1024;
	}
	if (f)
		(void)fclose(f);
	return total;
}

TEST(a_writer_waits_for_a_reader_that_does_not_read)
{
	AUTO_PAIR struct pair p;

	EXPECT(pair_open(&p));
	long before = private_bytes(p.keeper);
	pid_t writer = flood(p.caller);
	(void)usleep(300000);
	long after = private_bytes(p.keeper);
	pid_t ended = waitpid(writer, NULL, WNOHANG);
	lab_stop(writer);
	EXPECT_EQ(ended, 0);
	EXPECT(before > 0 && after - before < 1024 * 1024);
}

/* CPU ticks a process has used. */
static long ticks(pid_t pid)
{
	char path[64];
	long user = -1;
	long sys = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
		   &sys) != 2)
		user = -1;
	(void)fclose(f);
	return user + sys;
}

TEST(half_closed_and_stuck_connections_cost_no_time)
{
	AUTO_PAIR struct pair p;

	EXPECT(pair_open(&p));
	/* the workload is done and does not read; the caller floods, then ends too */
	EXPECT_EQ(shutdown(p.workload, SHUT_WR), 0);
	pid_t writer = flood(p.caller);
	(void)usleep(200000);
	lab_stop(writer);
	EXPECT_EQ(shutdown(p.caller, SHUT_WR), 0);
	(void)usleep(100000);
	long before = ticks(p.keeper);
	(void)usleep(500000);
	long after = ticks(p.keeper);
	EXPECT(before >= 0);
	EXPECT(after - before <= 2);
}

/* Accepts what comes within half a second of silence and answers each; how many there were. */
static int serve_all(int listener_fd)
{
	int served = 0;
	struct pollfd pfd = {.fd = listener_fd, .events = POLLIN};

	while (poll(&pfd, 1, 500) == 1) {
		AUTO_CLOSE int c = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
		served += c >= 0 && send(c, "x", 1, MSG_NOSIGNAL) == 1;
	}
	return served;
}

TEST(more_connections_than_the_limit_wait_for_their_turn)
{
	enum { LIMIT = 400, MANY = 410 };
	AUTO_PAIR struct pair p;
	int fds[MANY];
	char text[8];
	int answered = 0;

	EXPECT(pair_open(&p)); /* which is the first */
	for (int i = 0; i < MANY; i++)
		fds[i] = connect_to(0x7f000001, p.port);
	bool last_open = fds[MANY - 1] >= 0;
	int first = serve_all(p.listener);
	for (int i = 0; i < MANY; i++) {
		if (i < LIMIT - 1)
			answered += recv(fds[i], text, sizeof(text), MSG_DONTWAIT) == 1;
		if (i < LIMIT - 1)
			auto_close(&fds[i]);
	}
	int second = serve_all(p.listener);
	for (int i = 0; i < MANY; i++)
		auto_close(&fds[i]);
	EXPECT(last_open);
	EXPECT_EQ(first, LIMIT - 1);
	EXPECT_EQ(answered, LIMIT - 1);
	EXPECT_EQ(second, MANY - LIMIT + 1);
}

TEST(a_port_is_served_again_after_a_stop_for_another_address)
{
	struct err err = ERR_INIT;
	struct keeper_port port = loopback(false);
	AUTO(auto_ports_free) struct ports *set = NULL;
	AUTO(auto_loop_free) struct loop *loop = NULL;

	EXPECT(lab_enter());
	EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
	EXPECT_EQ(loop_new(&loop, &err), 0);
	EXPECT_EQ(ports_serve(set, loop, 0x7f000003, &err), 0);
	ports_stop(set);
	ports_stop(set);
	loop_free(TAKE_PTR(loop));

	struct lab_peer at = {.address = 0x7f000002, .port = 80};
	pid_t server = lab_server(-1, &at);
	pid_t k = lab_keeper(set, 0x7f000002);
	at = (struct lab_peer){.address = 0x7f000001, .port = (uint16_t)port.host_port};
	int answer = lab_in(-1, lab_ask, &at);
	lab_stop(k);
	lab_stop(server);
	EXPECT_EQ(answer, 0);
}

TEST(many_callers_of_a_udp_port_each_get_their_own_answer)
{
	enum { CALLERS = 200 /* more than there are sessions */ };
	struct err err = ERR_INIT;
	struct keeper_port port = loopback(true);
	AUTO(auto_ports_free) struct ports *set = NULL;
	struct lab_peer at = {.address = 0x7f000002, .port = 80, .udp = true};
	int bad = 0;

	EXPECT(lab_enter());
	EXPECT_EQ(ports_bind(&port, 1, &set, &err), 0);
	pid_t server = lab_server(-1, &at);
	pid_t k = lab_keeper(set, 0x7f000002);
	at = (struct lab_peer){0x7f000001, (uint16_t)port.host_port, true};
	for (int i = 0; i < CALLERS; i++)
		bad += lab_ask(&at) != 0;
	lab_stop(k);
	lab_stop(server);
	EXPECT_EQ(bad, 0);
}
