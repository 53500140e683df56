/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over the channel, at both ends, down to the records in it. The first byte chooses the
 * end, whether the frames are put right first, and how many bytes come at a time. */
#include "frames.h"

#include "base/err.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct record *record_of(uint16_t type)
{
	switch (type) {
	case FRAME_SETUP:
		return &machine_setup_record;
	case FRAME_ANSWER:
		return &machine_answer_record;
	case FRAME_EXITED:
		return &process_exit_record;
	default:
		return &machine_order_record;
	}
}

static int take(void *ctx, const struct frame *f, struct err *err)
{
	union {
		struct machine_setup setup;
		struct machine_order order;
		struct machine_answer answer;
		struct process_exit exit;
	} message;
	const struct record *record = record_of(f->type);

	if (f->type < FRAME_SETUP || f->type == FRAME_CLOCK)
		return 0;
	if (record_decode(record, f->payload, f->len, &message, err) < 0)
		return 0;
	record_done(record, &message);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(auto_channel_free) struct channel *ch = NULL;
	AUTO_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	if (n < 1)
		return 0;
	enum channel_side side = data[0] & 1 ? CHANNEL_HOST : CHANNEL_GUEST;
	size_t step = (size_t)(data[0] >> 2) * 7 + 1;
	if (data[0] & 2)
		frames_from(&b, data + 1, n - 1);
	else
		buf_add(&b, data + 1, n - 1);
	if (channel_new(side, "fuzz", take, NULL, &ch, &err) < 0)
		return 0;
	for (size_t at = 0; at < b.len; at += step) {
		size_t len = b.len - at < step ? b.len - at : step;
		if (channel_receive(ch, b.data + at, len, &err) < 0)
			return 0;
	}
	return 0;
}
