/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "sv_insn.h"

#define MAX_INSN_LEN 15

/* An instruction as far as it has been read. */
struct cursor {
	const uint8_t *ip;
	uint32_t at;
	bool opsize; /* prefix 66 */
	bool addr32; /* prefix 67 */
	uint8_t rex; /* 0: none */
	uint8_t modrm;
};

/* General registers by their number in an instruction. */
static const int greg_of[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8,	 REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static uint8_t
next_byte(struct cursor *c)
{
	return c->ip[c->at++];
}

/* Prefixes, up to the opcode. A REX prefix counts only right before it. */
static bool
read_prefixes(struct cursor *c)
{
	while (c->at < MAX_INSN_LEN) {
		uint8_t b = c->ip[c->at];

		if (b == 0x66)
			c->opsize = true;
		else if (b == 0x67)
			c->addr32 = true;
		else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x64 &&
			 b != 0x65)
			break;
		c->at++;
	}
	if ((c->ip[c->at] & 0xf0) == 0x40)
		c->rex = next_byte(c);
	return c->at < MAX_INSN_LEN;
}

/* ModRM with SIB and displacement. False: the operand is a register. */
static bool
read_address(struct cursor *c)
{
	uint8_t mod, rm, base;

	c->modrm = next_byte(c);
	mod = c->modrm >> 6;
	rm = c->modrm & 7;
	if (mod == 3)
		return false;
	base = rm;
	if (rm == 4)
		base = next_byte(c) & 7;
	if (mod == 1)
		c->at += 1;
	else if (mod == 2 || base == 5)
		c->at += 4;
	return true;
}

static uint32_t
operand_len(const struct cursor *c)
{
	return c->rex & 8 ? 8 : c->opsize ? 2 : 4;
}

/* The value of the register that the ModRM byte names. */
static uint64_t
register_value(const struct cursor *c, const greg_t *gregs, uint32_t len)
{
	unsigned int nr = (c->modrm >> 3 & 7) | (c->rex & 4) << 1;

	/* without REX, byte registers 4 to 7 are the high halves of 0 to 3 */
	if (len == 1 && c->rex == 0 && nr >= 4)
		return (uint64_t)gregs[greg_of[nr - 4]] >> 8;
	return (uint64_t)gregs[greg_of[nr]];
}

static uint64_t
read_immediate(struct cursor *c, uint32_t len)
{
	/* eight bytes are stored of four, with their sign */
	uint32_t nr = len == 8 ? 4 : len;
	int32_t v32 = 0;

	memcpy(&v32, c->ip + c->at, nr);
	c->at += nr;
	return (uint64_t)(int64_t)v32;
}

static bool
decode_two_byte(struct cursor *c, const greg_t *gregs, struct sv_store *out)
{
	uint8_t op = next_byte(c);
	bool movnti = op == 0xc3;
	bool movdiri = op == 0x38 && next_byte(c) == 0xf9;

	if ((!movnti && !movdiri) || c->opsize || !read_address(c))
		return false;
	out->len = operand_len(c);
	out->value = register_value(c, gregs, out->len);
	return true;
}

static bool
decode_one_byte(struct cursor *c, uint8_t op, const greg_t *gregs, struct sv_store *out)
{
	out->len = op & 1 ? operand_len(c) : 1;
	switch (op) {
	case 0x88: /* MOV r/m, r */
	case 0x89:
		if (!read_address(c))
			return false;
		out->value = register_value(c, gregs, out->len);
		return true;
	case 0xc6: /* MOV r/m, imm */
	case 0xc7:
		if (!read_address(c) || (c->modrm >> 3 & 7) != 0)
			return false;
		out->value = read_immediate(c, out->len);
		return true;
	case 0xa2: /* MOV moffs, rAX */
	case 0xa3:
		c->at += c->addr32 ? 4 : 8;
		out->value = (uint64_t)gregs[REG_RAX];
		return true;
	default:
		return false;
	}
}

bool
sv_insn_decode(const uint8_t *ip, const greg_t *gregs, struct sv_store *out)
{
	struct cursor c = { .ip = ip };
	uint8_t op;
	bool ok;

	if (!read_prefixes(&c))
		return false;
	op = next_byte(&c);
	ok = op == 0x0f ? decode_two_byte(&c, gregs, out)
			: decode_one_byte(&c, op, gregs, out);
	out->insn_len = c.at;
	return ok && c.at <= MAX_INSN_LEN;
}
