/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/crc32c.h"

TEST(the_check_value_of_the_algorithm_comes_out)
{
	/* the catalogue's value is inverted at the end, this one is not */
	EXPECT_EQ(crc32c("123456789", 9), (uint32_t)~0xe3069283U);
	EXPECT_EQ(crc32c("", 0), UINT32_MAX);
}

TEST(every_single_bit_counts)
{
	uint8_t bytes[64] = {0};
	uint32_t was = crc32c(bytes, sizeof(bytes));

	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		EXPECT(crc32c(bytes, sizeof(bytes)) != was);
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}
