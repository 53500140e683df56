/* SPDX-License-Identifier: Apache-2.0 */
/* Workloads as JSON with docker's names: what is stored at creation, and what `inspect` shows. */
#pragma once

#include "base/attr.h"

struct buf;
struct build;

/* Appends what was asked for and is not in plan and orders: Config, HostConfig, Mounts. */
void describe_config(const struct build *b, struct buf *to);

/* Appends the labels of image and options as one object. */
void describe_labels(const struct build *b, struct buf *to);
