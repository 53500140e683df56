/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads: one per processor, which runs the guest and answers its register accesses; one for the
 * disks and one for the share, which may wait for storage; and the first one, which serves channel,
 * network, entropy, memory and requests, and waits for the end. A device is served by one thread
 * and guarded by its lock. When a processor's thread finds the machine's end it says so and stops;
 * the others end with the process.
 */
#include "vmm/vmm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "vmm/confine.h"
#include "vmm/rng.h"
#include "vmm/snapshot.h"
#include "vmm/vmm_impl.h"

enum {
	STACK = 128 * 1024,
	START_MS = 3000, /* until then machines have started, or nearly */
};

/* --- the end --- */

/* From any thread. end is not used when `why` tells of a failure. */
static void set_end(struct vmm *m, enum vmm_end end, const struct err *why)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&m->lock);
	if (!m->ended) {
		m->ended = true;
		m->end = end;
		m->why = *why;
	}
	(void)pthread_mutex_unlock(&m->lock);
	ssize_t n = write(m->over, &one, sizeof(one));
	(void)n;
}

static int is_over(void *ctx, int fd, uint32_t events, struct err *err)
{
	(void)fd;
	(void)events;
	(void)err;
	loop_stop(ctx);
	return 0;
}

/* --- threads --- */

static int confine(const struct vmm *m, enum confine_role role, struct err *err)
{
	return m->config->unconfined ? 0 : confine_thread(role, err);
}

static void *cpu_thread(void *ctx)
{
	struct cpu *c = ctx;
	struct err err = ERR_INIT;
	enum vmm_end end = VMM_TRIPLE_FAULT;

	__atomic_store_n(&c->tid, gettid(), __ATOMIC_SEQ_CST);
	int r = confine(c->vmm, CONFINE_VCPU, &err);
	if (r == 0)
		r = vcpu_run(&c->vcpu, &c->vmm->bus, &end, &err);
	while (r == VCPU_STOPPED) {
		standstill_here(&c->vmm->standstill);
		r = vcpu_run(&c->vcpu, &c->vmm->bus, &end, &err);
	}
	set_end(c->vmm, end, &err);
	standstill_leave(&c->vmm->standstill);
	/* not by way of the C library, whose end of a thread takes more calls than are allowed */
	(void)syscall(SYS_exit, 0);
	return NULL;
}

static void *serve(struct vmm *m, enum confine_role role, struct loop *loop)
{
	struct err err = ERR_INIT;

	int r = confine(m, role, &err);
	if (r == 0)
		r = loop_run(loop, &err);
	if (r < 0)
		set_end(m, VMM_TRIPLE_FAULT, &err);
	return NULL;
}

static void *disk_thread(void *ctx)
{
	struct vmm *m = ctx;

	return serve(m, CONFINE_DISKS, m->disk_loop);
}

static void *pool_thread(void *ctx)
{
	struct vmm *m = ctx;
	struct err err = ERR_INIT;

	if (confine(m, CONFINE_POOL, &err) == 0)
		pool_serve(&m->pool);
	set_end(m, VMM_TRIPLE_FAULT, &err);
	return NULL;
}

static void *fs_thread(void *ctx)
{
	struct vmm *m = ctx;

	return serve(m, CONFINE_SHARE, m->fs_loop);
}

static int spawn(void *(*fn)(void *), void *ctx, struct err *err)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (pthread_attr_init(&attr) != 0)
		return err_set(err, ENOMEM, "out of memory");
	(void)pthread_attr_setstacksize(&attr, STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int code = pthread_create(&thread, &attr, fn, ctx);
	(void)pthread_attr_destroy(&attr);
	return code ? err_set(err, code, "start a thread: %s", strerrordesc_np(code)) : 0;
}

/* --- making it --- */

static int make_memory(struct vmm *m, struct err *err)
{
	const struct vmm_config *c = m->config;
	uint64_t memory = c->memory;
	uint64_t room = c->memory_max > memory ? c->memory_max - memory : 0;
	struct gmem_run runs[GMEM_RUNS + 1];

	int r = c->restore < 0 ? gmem_new(memory, &m->mem, err)
			       : gmem_map(memory, room, c->memory_file, &m->mem, err);
	if (r == 0 && room > 0 && c->restore < 0)
		r = gmem_add_room(m->mem, room, err);
	if (r < 0)
		return r;
	size_t n = gmem_runs(m->mem, runs);
	if (room > 0)
		runs[n++] = gmem_room(m->mem);
	for (size_t i = 0; i < n; i++) {
		struct kvm_userspace_memory_region region = {.slot = (uint32_t)i,
							     .guest_phys_addr = runs[i].gpa,
							     .memory_size = runs[i].size,
							     .userspace_addr =
								     (uintptr_t)runs[i].host};
		if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
			return err_sys(err, "give the machine its memory");
	}
	return 0;
}

static int connect_line(const struct vmm *m, int fd, uint32_t line, struct err *err)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = line};

	return ioctl(m->vm, KVM_IRQFD, &irqfd) < 0 ? err_sys(err, "connect interrupt %u", line) : 0;
}

static int kicked(void *ctx, int fd, uint32_t events, struct err *err)
{
	(void)fd;
	(void)events;
	(void)err;
	virtio_kicked(ctx);
	return 0;
}

/* What is written there is a queue's number. */
static int connect_notifications(const struct vmm *m, const struct virtio *v, unsigned slot,
				 struct err *err)
{
	struct kvm_ioeventfd notify = {.addr = ARCH_MMIO_BASE + (uint64_t)slot * ARCH_MMIO_STRIDE +
					       VIRTIO_MMIO_NOTIFY,
				       .len = 4,
				       .fd = v->kick};
	int r = 0;

	if (v->kicks)
		notify.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
	for (unsigned i = 0; i < (v->kicks ? v->ops->n_queues : 1U) && r == 0; i++) {
		notify.datamatch = i;
		if (v->kicks)
			notify.fd = v->kicks[i];
		if (ioctl(m->vm, KVM_IOEVENTFD, &notify) < 0)
			r = err_sys(err, "connect the notifications of device %u", slot);
	}
	return r;
}

/* The device takes the next address and line, and is served by `loop`. Its notifications do not
 * even reach this process's vCPU threads: the kernel turns them into its eventfd, which is never
 * read, for each notification is an edge. */
static int plug(struct vmm *m, struct virtio *v, struct loop *loop, struct err *err)
{
	unsigned slot = m->bus.n;
	struct watch *watch;

	if (slot == ARCH_DEVICES_MAX)
		return err_set(err, E2BIG, "the machine has too many devices");
	int r = connect_notifications(m, v, slot, err);
	if (r == 0)
		r = connect_line(m, v->irq, ARCH_FIRST_LINE + slot, err);
	if (r == 0)
		r = loop_watch(loop, v->kick, EPOLLIN | EPOLLET, kicked, v, &watch, err);
	if (r < 0)
		return r;
	m->bus.devices[m->bus.n++] = v;
	return 0;
}

static int add_disk(struct vmm *m, const struct vmm_disk *config, struct block *b, struct err *err)
{
	struct disk disk = {.readonly = config->readonly, .careless = config->careless};
	int r = 0;

	for (size_t i = 0; i < config->n && r == 0; i++)
		r = disk_add(&disk, config->fds[i], config->sizes[i], err);
	if (r == 0)
		r = block_init(b, &disk, config->serial, m->disk_loop, m->mem, err);
	disk_done(&disk);
	b->pool = &m->pool;
	if (r == 0)
		r = plug(m, &b->v, m->disk_loop, err);
	return r < 0 ? err_wrap(err, "disk '%s'", config->serial) : 0;
}

static int add_channel(struct vmm *m, struct err *err)
{
	int r = port_init(&m->port, m->config->channel, m->config->port, m->loop, m->mem, err);

	return r < 0 ? r : plug(m, &m->port.v, m->loop, err);
}

static int add_net(struct vmm *m, struct err *err)
{
	const struct vmm_config *c = m->config;
	struct net_config net = {.taps = c->taps,
				 .stream = c->stream >= 0 ? &c->stream : NULL,
				 .vhosts = c->n_vhosts > 0 ? c->vhosts : NULL,
				 .n_pairs = c->stream >= 0 ? 1 : (unsigned)c->n_taps};

	if (c->n_taps > 0 && c->stream >= 0)
		return err_set(err, EINVAL, "--net and --stream: one of them");
	if (c->n_vhosts > 0 && c->n_vhosts != c->n_taps)
		return err_set(err, EINVAL, "--vhost: one for each descriptor of --net");
	memcpy(net.mac, c->mac, sizeof(net.mac));
	int r = net_init(&m->net, &net, m->loop, m->mem, err);
	return r < 0 ? r : plug(m, &m->net.v, m->loop, err);
}

static int add_fs(struct vmm *m, struct err *err)
{
	int r = fs_init(&m->fs, m->config->share, m->config->share_tag, m->fs_loop, m->mem, err);

	return r < 0 ? r : plug(m, &m->fs.v, m->fs_loop, err);
}

static int add_rng(struct vmm *m, struct err *err)
{
	int r = rng_init(&m->rng, m->mem, err);

	return r < 0 ? r : plug(m, &m->rng, m->loop, err);
}

/* Behind all others, so that these stand where they always did. */
static int add_spares(struct vmm *m, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < VMM_SPARE_DISKS && r == 0; i++) {
		struct block *b = &m->spare_disks[i];
		r = block_init(b, &(struct disk){0}, "", m->disk_loop, m->mem, err);
		b->pool = &m->pool;
		if (r == 0)
			r = plug(m, &b->v, m->disk_loop, err);
	}
	for (size_t i = 0; i < VMM_SPARE_NETS && r == 0; i++) {
		struct net *n = &m->spare_nets[i];
		r = net_init(n, &(struct net_config){0}, m->loop, m->mem, err);
		if (r == 0)
			r = plug(m, &n->v, m->loop, err);
	}
	return r;
}

/* What gives memory back, and what gets more where there may be more. */
static int add_memory(struct vmm *m, struct err *err)
{
	int r = balloon_init(&m->balloon, m->mem, err);

	if (r == 0)
		r = plug(m, &m->balloon.v, m->loop, err);
	if (r < 0 || m->config->memory_max <= m->config->memory)
		return r;
	r = hotmem_init(&m->hotmem, m->mem, err);
	return r < 0 ? r : plug(m, &m->hotmem.v, m->loop, err);
}

static int set_limits(struct vmm *m, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < m->config->n_limits && r == 0; i++)
		r = vmm_limit_device(m, &m->config->limits[i], err);
	return r;
}

/* What leads out of the machine; it may go without. */
static int add_links(struct vmm *m, struct err *err)
{
	const struct vmm_config *c = m->config;
	int r = c->channel >= 0 ? add_channel(m, err) : 0;

	if (r == 0 && (c->n_taps > 0 || c->stream >= 0))
		r = add_net(m, err);
	if (r == 0 && c->share >= 0)
		r = add_fs(m, err);
	return r;
}

/* Disks first: a guest that looks for its devices in order finds the root's soonest. */
static int add_given(struct vmm *m, struct err *err)
{
	const struct vmm_config *c = m->config;
	int r = 0;

	for (size_t i = 0; i < c->n_disks && r == 0; i++)
		r = add_disk(m, &c->disks[i], &m->disks[i], err);
	return r < 0 ? r : add_links(m, err);
}

/* What stands on nothing of the caller's. */
static int add_own(struct vmm *m, struct err *err)
{
	int r = add_rng(m, err);

	if (r == 0)
		r = add_memory(m, err);
	return r < 0 ? r : add_spares(m, err);
}

static int plug_again(struct vmm *m, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < m->config->n_plugged && r == 0; i++)
		r = vmm_plug_again(m, &m->config->plugged[i], err);
	return r;
}

static int make_devices(struct vmm *m, struct err *err)
{
	int r = add_given(m, err);

	if (r == 0)
		r = add_own(m, err);
	if (r == 0)
		r = plug_again(m, err);
	if (r == 0)
		r = set_limits(m, err);
	if (r == 0)
		r = ports_init(&m->bus.ports, m->config->console, err);
	return r < 0 ? r : connect_line(m, m->bus.ports.irq, PORTS_SERIAL_LINE, err);
}

/* Whatever else --control names gets the last word only. */
static bool takes_requests(const struct vmm_config *c)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(c->control, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       type == SOCK_SEQPACKET;
}

/* The program's code, as the linker names it. */
extern char __executable_start[], etext[];

/* Most of the code that is in memory is the start's. It is the file's, clean: what is wanted again
 * comes again. */
static int forget_start(void *ctx, struct err *err)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t n = (size_t)(etext - __executable_start) & ~(page - 1);
	struct vmm *m = ctx;

	(void)err;
	m->start_timer = NULL;
	(void)madvise(__executable_start, n, MADV_DONTNEED);
	return 0;
}

static int make_loops(struct vmm *m, struct err *err)
{
	struct watch *watch;

	m->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->over < 0)
		return err_sys(err, "make an eventfd");
	int r = loop_new(&m->loop, err);
	if (r == 0)
		r = loop_new(&m->disk_loop, err);
	if (r == 0)
		r = loop_new(&m->fs_loop, err);
	if (r == 0)
		r = loop_watch(m->loop, m->over, EPOLLIN, is_over, m->loop, &watch, err);
	if (r == 0)
		r = loop_timer(m->loop, START_MS, forget_start, m, &m->start_timer, err);
	if (r == 0 && takes_requests(m->config))
		r = control_init(&m->control, m->config->control, m->loop, vmm_requests, m, err);
	return r;
}

static int make_cpus(struct vmm *m, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < m->config->cpus && r == 0; i++) {
		struct cpu *c = &m->cpus[i];
		c->vmm = m;
		r = vcpu_init(&c->vcpu, m->config->kvm, m->vm, i, err);
	}
	standstill_init(&m->standstill, m->config->cpus);
	return r;
}

/* Where the processors begin: at the kernel's entry. */
static int boot(struct vmm *m, struct err *err)
{
	const struct vmm_config *c = m->config;
	const struct arch_boot boot = {.mem = m->mem,
				       .kernel = c->kernel,
				       .initramfs = c->initramfs,
				       .cmdline = c->cmdline,
				       .cpus = c->cpus,
				       .devices = m->bus.n};
	struct arch_entry entry;

	int r = arch_load(&boot, &entry, err);
	for (unsigned i = 0; i < c->cpus && r == 0; i++)
		r = arch_vcpu_init(c->kvm, m->cpus[i].vcpu.fd, i, c->cpus, &entry, err);
	return r;
}

/* What a request may need, since none may allocate. */
static int make_room(struct vmm *m, struct err *err)
{
	if (m->control.watch)
		(void)buf_reserve(&m->state, snapshot_room(m));
	return buf_check(&m->state, err);
}

static int make(struct vmm *m, struct err *err)
{
	const struct vmm_config *c = m->config;

	if (c->cpus < 1 || c->cpus > ARCH_CPUS_MAX)
		return err_set(err, EINVAL, "a machine has 1 to %d processors", ARCH_CPUS_MAX);
	if (ioctl(c->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(err, EINVAL, "descriptor %d is no /dev/kvm", c->kvm);
	m->vm = ioctl(c->kvm, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		return err_sys(err, "make a machine");
	int r = arch_vm_init(m->vm, err);
	if (r == 0)
		r = make_memory(m, err);
	if (r == 0)
		r = make_loops(m, err);
	if (r == 0)
		r = make_devices(m, err);
	if (r == 0)
		r = make_cpus(m, err);
	if (r == 0)
		r = make_room(m, err);
	if (r < 0)
		return r;
	return c->restore < 0 ? boot(m, err) : snapshot_load(m, c->restore, err);
}

/* Only what no thread uses. */
static void release(struct vmm *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < ARCH_CPUS_MAX; i++)
		vcpu_done(&m->cpus[i].vcpu);
	for (size_t i = 0; i < VMM_DISKS_MAX; i++)
		block_done(&m->disks[i]);
	for (size_t i = 0; i < VMM_SPARE_DISKS; i++)
		block_done(&m->spare_disks[i]);
	for (size_t i = 0; i < VMM_SPARE_NETS; i++)
		net_done(&m->spare_nets[i]);
	port_done(&m->port);
	net_done(&m->net);
	virtio_done(&m->rng);
	balloon_done(&m->balloon);
	hotmem_done(&m->hotmem);
	ports_done(&m->bus.ports);
	fs_done(&m->fs);
	control_done(&m->control);
	loop_free(m->fs_loop);
	loop_free(m->disk_loop);
	loop_free(m->loop);
	gmem_free(m->mem);
	buf_done(&m->state);
	auto_close(&m->over);
	auto_close(&m->vm);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

DEFINE_AUTO(struct vmm, release)

static void stop_signal(int signal)
{
	(void)signal; /* that it came is all */
}

/* Or may get some. */
static bool has_disks(const struct vmm *m)
{
	return m->config->n_disks > 0 || m->control.watch;
}

static int start_threads(struct vmm *m, struct err *err)
{
	(void)sigaction(VMM_STOP_SIGNAL, &(struct sigaction){.sa_handler = stop_signal}, NULL);
	int r = spawn(disk_thread, m, err);

	if (r == 0 && m->config->share >= 0)
		r = spawn(fs_thread, m, err);
	for (unsigned i = 0; i < m->config->cpus && r == 0; i++)
		r = spawn(cpu_thread, &m->cpus[i], err);
	/* no start waits for these */
	for (unsigned i = 0; i < POOL_THREADS && has_disks(m) && r == 0; i++)
		r = spawn(pool_thread, m, err);
	return r;
}

/* What is being done to the disks is done; then what the guest said last is out. */
static void settle(struct vmm *m)
{
	for (size_t i = 0; i < m->config->n_disks; i++)
		virtio_settle(&m->disks[i].v);
	for (size_t i = 0; i < VMM_SPARE_DISKS; i++)
		virtio_settle(&m->spare_disks[i].v);
	ports_flush(&m->bus.ports);
}

int vmm_run(const struct vmm_config *config, struct vmm_report *ret, struct err *err)
{
	AUTO(auto_release) struct vmm *made = calloc(1, sizeof(*made));

	if (!made)
		return err_set(err, ENOMEM, "out of memory");
	made->config = config;
	made->vm = made->over = -1;
	made->pid = getpid();
	made->started_us = clock_us();
	(void)pthread_mutex_init(&made->lock, NULL);
	pool_init(&made->pool);
	int r = make(made, err);
	if (r < 0)
		return r;
	/* from here on it belongs to its threads, which end with the process */
	struct vmm *m = TAKE_PTR(made);
	if (!config->unconfined) /* what threads inherit from the first one */
		r = confine_process((config->share >= 0 ? FS_FILES_MAX : 0) +
					    (m->control.watch ? CONTROL_KEPT_MAX : 0),
				    err);
	if (r == 0)
		r = start_threads(m, err);
	m->entered_us = clock_us();
	if (r == 0)
		r = confine(m, CONFINE_MAIN, err);
	if (r == 0)
		r = loop_run(m->loop, err);
	if (r < 0)
		return r;
	settle(m);
	if (m->why.code)
		return err_set(err, m->why.code, "%s", m->why.msg);
	ret->end = m->end;
	vmm_count_exits(m, ret);
	return 0;
}
