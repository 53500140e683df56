/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/ports.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/state.h"

enum { FIFO_ENABLED = 0xc0 }; /* of UART_IIR: a 16550A */

int ports_init(struct ports *p, int out, struct err *err)
{
	*p = (struct ports){.out = out, .irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (p->irq < 0)
		return err_sys(err, "make the serial line's eventfd");
	(void)pthread_mutex_init(&p->lock, NULL);
	return 0;
}

void ports_done(struct ports *p)
{
	if (p->irq <= 0)
		return;
	auto_close(&p->irq);
	(void)pthread_mutex_destroy(&p->lock);
}

/* Waits for the host to take it: a guest that floods its console is slowed down by who reads. */
static void flush(struct ports *p)
{
	for (size_t done = 0; p->out >= 0 && done < p->len;) {
		ssize_t n = write(p->out, p->line + done, p->len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* nobody listens */
			break;
		done += (size_t)n;
	}
	p->len = 0;
}

static void interrupt(struct ports *p)
{
	uint64_t one = 1;

	p->empty_pending = true;
	ssize_t n = write(p->irq, &one, sizeof(one));
	(void)n;
}

/* --- the serial line --- */

static uint8_t serial_read(struct ports *p, unsigned reg)
{
	bool divisor = p->line_control & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return divisor ? p->divisor[0] : 0;
	case UART_IER:
		return divisor ? p->divisor[1] : p->enable;
	case UART_IIR: {
		bool empty = p->empty_pending && (p->enable & UART_IER_THRI);
		p->empty_pending = false; /* reading it acknowledges */
		return FIFO_ENABLED | (empty ? UART_IIR_THRI : UART_IIR_NO_INT);
	}
	case UART_LCR:
		return p->line_control;
	case UART_MCR:
		return p->modem_control;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE;
	case UART_MSR:
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	default:
		return p->scratch;
	}
}

static void serial_send(struct ports *p, uint8_t v)
{
	p->line[p->len++] = (char)v;
	if (v == '\n' || p->len == sizeof(p->line))
		flush(p);
	if (p->enable & UART_IER_THRI)
		interrupt(p);
}

static void serial_write(struct ports *p, unsigned reg, uint8_t v)
{
	bool divisor = p->line_control & UART_LCR_DLAB;
	uint8_t was = p->enable;

	switch (reg) {
	case UART_TX:
		if (divisor)
			p->divisor[0] = v;
		else
			serial_send(p, v);
		break;
	case UART_IER:
		if (divisor) {
			p->divisor[1] = v;
			break;
		}
		p->enable = v & 0xf;
		if ((p->enable & UART_IER_THRI) && !(was & UART_IER_THRI))
			interrupt(p);
		break;
	case UART_LCR:
		p->line_control = v;
		break;
	case UART_MCR:
		p->modem_control = v;
		break;
	case UART_SCR:
		p->scratch = v;
		break;
	default: /* FIFO control, and registers that are read-only */
		break;
	}
}

/* --- ports --- */

static bool is_serial(uint16_t port)
{
	return port >= PORT_SERIAL && port < PORT_SERIAL + 8;
}

void ports_read(struct ports *p, uint16_t port, void *bytes, size_t n)
{
	memset(bytes, 0xff, n);
	if (n != 1)
		return;
	if (is_serial(port)) {
		(void)pthread_mutex_lock(&p->lock);
		*(uint8_t *)bytes = serial_read(p, port - PORT_SERIAL);
		(void)pthread_mutex_unlock(&p->lock);
	} else if (port == PORT_SLEEP_CONTROL || port == PORT_SLEEP_STATUS) {
		*(uint8_t *)bytes = 0;
	}
}

enum ports_word ports_write(struct ports *p, uint16_t port, const void *bytes, size_t n)
{
	enum { SLEEP_ENABLE = 1 << 5, TYPE_SHIFT = 2, TYPE = 7 };
	uint8_t v = *(const uint8_t *)bytes;

	if (n != 1)
		return PORTS_NOTHING;
	if (is_serial(port)) {
		(void)pthread_mutex_lock(&p->lock);
		serial_write(p, port - PORT_SERIAL, v);
		(void)pthread_mutex_unlock(&p->lock);
	} else if (port == PORT_RESET && v == RESET_VALUE) {
		return PORTS_RESET;
	} else if (port == PORT_SLEEP_CONTROL && (v & SLEEP_ENABLE) &&
		   (v >> TYPE_SHIFT & TYPE) == SLEEP_TYPE_OFF) {
		return PORTS_OFF;
	}
	return PORTS_NOTHING;
}

void ports_flush(struct ports *p)
{
	(void)pthread_mutex_lock(&p->lock);
	flush(p);
	(void)pthread_mutex_unlock(&p->lock);
}

/* --- a written state --- */

/* The registers that are bytes. */
static const size_t registers[] = {
	offsetof(struct ports, enable),        offsetof(struct ports, line_control),
	offsetof(struct ports, modem_control), offsetof(struct ports, scratch),
	offsetof(struct ports, divisor),       offsetof(struct ports, divisor) + 1,
};

enum { REGISTERS = sizeof(registers) / sizeof(registers[0]) };

void ports_save(const struct ports *p, struct buf *to)
{
	for (size_t i = 0; i < REGISTERS; i++)
		buf_add(to, (const uint8_t *)p + registers[i], 1);
	state_put_flag(to, p->empty_pending);
	buf_le32(to, (uint32_t)p->len);
	buf_add(to, p->line, p->len);
}

int ports_load(struct ports *p, struct state_reader *from, struct err *err)
{
	for (size_t i = 0; i < REGISTERS; i++)
		state_take(from, (uint8_t *)p + registers[i], 1);
	p->empty_pending = state_take_flag(from);
	size_t len = state_take32(from);
	if (p->enable > 0xf || len >= sizeof(p->line))
		return err_set(err, EINVAL, "the serial line cannot be as the state says");
	state_take(from, p->line, len);
	p->len = len;
	return state_taken(from, err);
}

void ports_release(struct ports *p)
{
	(void)pthread_mutex_lock(&p->lock);
	if (p->empty_pending && (p->enable & UART_IER_THRI))
		interrupt(p);
	(void)pthread_mutex_unlock(&p->lock);
}
