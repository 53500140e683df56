/* SPDX-License-Identifier: Apache-2.0 */
/* A keeper killed at each of its system calls while it attaches, publishes or detaches: what is
 * left is found by the workload's id and goes by network_detach(). */
#include "lab.h"

#include <signal.h>
#include <sys/ptrace.h>

#include "base/buf.h"
#include "base/proc.h"
#include "proto/control.h"

/* What is done to a workload; 0 on success. */
typedef int step_fn(int netns);

static struct keeper_port port = {.host_port = 8080, .port = 80};

static int live_as_container(int netns)
{
	struct err err = ERR_INIT;
	struct network net = net0();

	if (network_attach_container(&net, id_a, netns, nth(0), &err) < 0 ||
	    network_publish(&net, id_a, &port, 1, nth(0), &err) < 0)
		return 1;
	return network_detach(&net, id_a, &err) < 0;
}

static int live_as_machine(int netns)
{
	struct err err = ERR_INIT;
	struct network net = net0();

	(void)netns;
	if (network_attach_machine(&net, id_a, false, &err) < 0 ||
	    network_publish(&net, id_a, &port, 1, nth(0), &err) < 0)
		return 1;
	return network_detach(&net, id_a, &err) < 0;
}

static int ensure(int netns)
{
	struct err err = ERR_INIT;
	struct network net = net0();
	struct network_report report;

	(void)netns;
	return network_ensure(&net, &report, &err) < 0;
}

static int number(const char *name, int otherwise)
{
	const char *text = getenv(name);
	int64_t n = otherwise;
	struct err err = ERR_INIT; /* no number: as if it were not set */

	return text && parse_int(text, 1, INT32_MAX, name, &n, &err) < 0 ? otherwise : (int)n;
}

/* The distance between the stops at which is killed, and the first one, as it is told. */
static int stride(int *first)
{
	int step = number("HULL_SWEEP", 11);
	int seed = number("SEED", (int)(getpid() & 0xffff));

	*first = 1 + seed % step;
	printf("# HULL_SWEEP=%d SEED=%d\n", step, seed);
	return step;
}

/* Runs step in a child and kills it when it is about to make its nth system call (or has just made
 * it: every other stop). 1 when it came so far, 0 when it ended well before, -1 when it failed. */
static int killed_at(step_fn *step, int netns, int nth_stop)
{
	int status;

	(void)fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		_exit(step(netns));
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return -1;
	for (int i = 0; i < nth_stop; i++) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) < 0)
			return -1;
		if (WIFEXITED(status))
			return WEXITSTATUS(status) == 0 ? 0 : -1;
		if (WIFSIGNALED(status))
			return -1;
	}
	lab_stop(pid);
	return 1;
}

/* Counts what is neither lo nor the bridge. */
static int count_strays(const struct link *link, void *ctx, struct err *err)
{
	(void)err;
	*(int *)ctx += strcmp(link->name, "lo") != 0 && strcmp(link->name, "hull0") != 0;
	return 0;
}

/* How many interfaces and tables there are: of workloads, or with `all` of the network too. */
static int remains(bool all)
{
	AUTO(auto_netlink_close) struct netlink *nl = NULL;
	AUTO_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	struct link link;
	static const char *const argv[] = {"nft", "list", "ruleset", NULL};
	int n = 0;

	if (netlink_open(NETLINK_ROUTE, &nl, &err) < 0 ||
	    link_list(nl, 0, count_strays, &n, &err) < 0 || proc_run(argv, NULL, &text, &err) < 0)
		return -1;
	n += text.len && strstr(text.data, " comment \"");
	if (all)
		n += link_get(nl, "hull0", &link, &err) == 0 || text.len;
	return n;
}

/* Finds and removes what a killed process left; whether all of it was found and is gone. */
static bool repair(void)
{
	AUTO_STRV struct strv ids = {0};
	struct err err = ERR_INIT;
	struct network net = net0();

	int left = remains(false);
	int r = network_list(&net, &ids, &err);
	bool found = r == 0 && left >= 0 && (left > 0) == (ids.n == 1);
	if (r == 0 && ids.n)
		r = network_detach(&net, ids.v[0], &err);
	if (r == 0)
		r = network_remove(&net, &err);
	int after = remains(true);
	if (!found || r < 0 || after != 0)
		printf("# %d left, %zu found, %d remain: %s\n", left, ids.n, after, err.msg);
	return found && r == 0 && after == 0;
}

/* Kills at every stop from the first on; how many there were, or -1 and *where for one after which
 * something could not be found or removed. */
static int sweep(step_fn *step, int *where)
{
	int stop;
	int step_by = stride(&stop);

	for (;; stop += step_by) {
		AUTO_CLOSE int netns = lab_netns();
		*where = stop;
		int r = killed_at(step, netns, stop);
		if (r <= 0)
			return r < 0 || remains(true) != 0 ? -1 : stop;
		if (!repair())
			return -1;
	}
}

static void sweep_of(step_fn *step)
{
	int where = 0;

	EXPECT(lab_enter());
	int stops = sweep(step, &where);
	if (stops < 0)
		FAIL("killed at stop %d", where);
	EXPECT(stops > 100);
}

TEST(a_killed_keeper_of_a_container_leaves_nothing_that_is_not_found)
{
	sweep_of(live_as_container);
}

TEST(a_killed_keeper_of_a_machine_leaves_nothing_that_is_not_found)
{
	sweep_of(live_as_machine);
}

TEST(a_network_half_made_by_a_killed_command_is_whole_after_the_next)
{
	int stop;
	int step_by = stride(&stop);

	for (; stop < 1000; stop += step_by) {
		AUTO_WORLD struct world w = {-1, -1, net0()};
		struct lab_peer peer = {.address = OUTSIDE, .port = 80};
		struct err err = ERR_INIT;
		struct network_report report;

		EXPECT(lab_enter());
		int r = killed_at(ensure, -1, stop);
		EXPECT(r >= 0);
		w.outside = outside("up0");
		w.a = lab_netns();
		EXPECT_EQ(network_ensure(&w.net, &report, &err), 0);
		EXPECT_EQ(network_attach_container(&w.net, id_a, w.a, nth(0), &err), 0);
		pid_t server = lab_server(w.outside, &peer);
		int answer = lab_in(w.a, lab_ask, &peer);
		lab_stop(server);
		if (answer != 0)
			FAIL("killed at stop %d: %d", stop, answer);
		if (r == 0)
			return;
	}
}
