/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "vmm/state.h"
#include "vmm/vmm_impl.h"

enum {
	PATIENCE_MS = 5000, /* for a processor or a device to stand still */
	DEVICE_ROOM = 1024, /* of a device in a written state, at most */
};

static const struct state_form form = {"hullvmst", 1, "machine"};

/* --- standing still --- */

static void go_on(struct vmm *m)
{
	for (unsigned i = 0; i < m->config->cpus; i++)
		vcpu_go(&m->cpus[i].vcpu);
	for (unsigned i = 0; i < m->bus.n; i++)
		virtio_release(m->bus.devices[i]);
	standstill_end(&m->standstill);
	m->paused = false;
}

static void tell_cpus(struct vmm *m)
{
	standstill_want(&m->standstill);
	for (unsigned i = 0; i < m->config->cpus; i++) {
		vcpu_stop(&m->cpus[i].vcpu);
		pid_t tid = __atomic_load_n(&m->cpus[i].tid, __ATOMIC_SEQ_CST);
		if (tid != 0) /* else it has not begun, and will see for itself */
			(void)syscall(SYS_tgkill, m->pid, tid, VMM_STOP_SIGNAL);
	}
}

static int stand_still(struct vmm *m, struct err *err)
{
	tell_cpus(m);
	int r = standstill_wait(&m->standstill, PATIENCE_MS, err);
	for (unsigned i = 0; i < m->bus.n && r == 0; i++) {
		r = virtio_hold(m->bus.devices[i], PATIENCE_MS, err);
		if (r < 0)
			r = err_wrap(err, "device %u", i);
	}
	return r;
}

int pause_answer(void *ctx, struct control_call *call, struct err *err)
{
	struct vmm *m = ctx;

	(void)call;
	if (m->paused)
		return err_set(err, EALREADY, "the machine is paused");
	int r = stand_still(m, err);
	if (r < 0) {
		go_on(m);
		return r;
	}
	m->paused = true;
	return 0;
}

int resume_answer(void *ctx, struct control_call *call, struct err *err)
{
	struct vmm *m = ctx;

	(void)call;
	if (!m->paused)
		return err_set(err, EALREADY, "the machine is not paused");
	go_on(m);
	return 0;
}

/* --- writing --- */

size_t snapshot_room(const struct vmm *m)
{
	return (size_t)(m->config->cpus + 2) * ARCH_STATE_MAX + (size_t)m->bus.n * DEVICE_ROOM +
	       hotmem_state_size(&m->hotmem);
}

static struct arch_vcpu arch_vcpu(const struct vmm *m, unsigned i)
{
	return (struct arch_vcpu){m->config->kvm, m->cpus[i].vcpu.fd, i, m->config->cpus};
}

static void save_machine(const struct vmm *m, struct buf *to)
{
	size_t part = state_part(to, STATE_MACHINE, 0);

	buf_le64(to, m->config->memory);
	buf_le32(to, m->config->cpus);
	buf_le32(to, m->bus.n);
	state_end_part(to, part);
}

static int save_devices(const struct vmm *m, struct buf *to, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < m->bus.n && r == 0; i++) {
		size_t part = state_part(to, STATE_DEVICE, i);
		r = virtio_save(m->bus.devices[i], to, err);
		if (r < 0)
			return err_wrap(err, "device %u", i);
		state_end_part(to, part);
	}
	size_t part = state_part(to, STATE_PORTS, 0);
	ports_save(&m->bus.ports, to);
	state_end_part(to, part);
	return 0;
}

static int save_cpus(const struct vmm *m, struct buf *to, struct err *err)
{
	for (unsigned i = 0; i < m->config->cpus; i++) {
		struct arch_vcpu c = arch_vcpu(m, i);
		size_t part = state_part(to, STATE_CPU, i);
		int r = arch_vcpu_save(&c, to, err);
		if (r < 0)
			return err_wrap(err, "processor %u", i);
		state_end_part(to, part);
	}
	size_t part = state_part(to, STATE_VM, 0);
	int r = arch_vm_save(m->vm, to, err);
	state_end_part(to, part);
	return r;
}

static int save_memory(const struct vmm *m, int file, struct err *err)
{
	int r = gmem_save(m->mem, file, err);

	return r < 0 ? r : hotmem_save_memory(&m->hotmem, file, err);
}

/* What is written beside the two files that every machine has. */
static int save_beside(struct vmm *m, const struct control_call *call, struct err *err)
{
	return m->config->share < 0 ? 0 : fs_save(&m->fs, call->fds[2], err);
}

/* The state last: a file that is whole has its memory beside it. */
static int save(const struct vmm *m, int state, int memory, struct buf *to, struct err *err)
{
	state_begin(to, &form);
	save_machine(m, to);
	int r = save_devices(m, to, err);
	if (r == 0)
		r = save_cpus(m, to, err);
	state_seal(to);
	if (r == 0)
		r = buf_check(to, err);
	if (r == 0)
		r = save_memory(m, memory, err);
	if (r < 0)
		return r;
	if (ftruncate(state, 0) < 0)
		return err_sys(err, "make the state file");
	return pwrite_all(state, to->data, to->len, 0, "state file", err);
}

int save_answer(void *ctx, struct control_call *call, struct err *err)
{
	struct vmm *m = ctx;

	if (m->config->share < 0 && call->n_fds != 2)
		return err_set(err, EINVAL, "save: comes with two files, for state and memory");
	if (m->config->share >= 0 && call->n_fds != 3)
		return err_set(err, EINVAL,
			       "save: comes with three files, for state, memory and share");
	if (!m->paused)
		return err_set(err, EINVAL, "save: the machine is not paused");
	int r = save_beside(m, call, err);
	if (r < 0)
		return r;
	buf_clear(&m->state);
	return save(m, call->fds[0], call->fds[1], &m->state, err);
}

/* --- reading --- */

static int load_machine(const struct vmm *m, struct state *s, struct err *err)
{
	struct state_reader part;

	int r = state_next(s, STATE_MACHINE, 0, &part, err);
	if (r < 0)
		return r;
	uint64_t memory = state_take64(&part);
	uint32_t cpus = state_take32(&part);
	uint32_t devices = state_take32(&part);
	if (memory != m->config->memory || cpus != m->config->cpus || devices != m->bus.n)
		return err_set(
			err, EINVAL,
			"the state is of a machine with %ju bytes of memory, %u processors and %u "
			"devices; this one has %ju, %u and %u",
			(uintmax_t)memory, cpus, devices, (uintmax_t)m->config->memory,
			m->config->cpus, m->bus.n);
	return state_taken(&part, err);
}

static int load_devices(struct vmm *m, struct state *s, struct err *err)
{
	struct state_reader part;
	int r = 0;

	for (unsigned i = 0; i < m->bus.n && r == 0; i++) {
		r = state_next(s, STATE_DEVICE, i, &part, err);
		if (r == 0)
			r = virtio_load(m->bus.devices[i], &part, err);
		if (r < 0)
			return err_wrap(err, "device %u", i);
	}
	r = state_next(s, STATE_PORTS, 0, &part, err);
	return r < 0 ? r : ports_load(&m->bus.ports, &part, err);
}

static int load_cpus(const struct vmm *m, struct state *s, struct err *err)
{
	struct state_reader part;
	int r = 0;

	for (unsigned i = 0; i < m->config->cpus && r == 0; i++) {
		struct arch_vcpu c = arch_vcpu(m, i);
		r = state_next(s, STATE_CPU, i, &part, err);
		if (r == 0)
			r = arch_vcpu_load(&c, &part, err);
		if (r < 0)
			return err_wrap(err, "processor %u", i);
	}
	r = state_next(s, STATE_VM, 0, &part, err);
	return r < 0 ? r : arch_vm_load(m->vm, &part, err);
}

static int load(struct vmm *m, const void *bytes, size_t n, struct err *err)
{
	struct state s;

	int r = state_open(&s, &form, bytes, n, err);
	if (r == 0)
		r = load_machine(m, &s, err);
	if (r == 0)
		r = load_devices(m, &s, err);
	if (r == 0)
		r = load_cpus(m, &s, err);
	return r < 0 ? r : state_close(&s, err);
}

int snapshot_load(struct vmm *m, int file, struct err *err)
{
	AUTO_FREE void *bytes = malloc(STATE_MAX);

	if (!bytes)
		return err_set(err, ENOMEM, "out of memory");
	ssize_t n = read_upto(file, bytes, STATE_MAX, "state file", err);
	int r = n < 0 ? (int)n : load(m, bytes, (size_t)n, err);
	if (r == 0)
		r = hotmem_map_memory(&m->hotmem, m->config->memory_file, err);
	if (r < 0)
		return err_wrap(err, "restore");
	for (unsigned i = 0; i < m->bus.n; i++)
		virtio_release(m->bus.devices[i]);
	ports_release(&m->bus.ports);
	return 0;
}
