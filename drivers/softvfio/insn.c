/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "sv_insn.h"

#define MAX_INSN_LEN 15

/* An instruction as far as it has been read. */
struct cursor {
	const uint8_t *ip;
	uint32_t at;
	bool opsize;  /* prefix 66 */
	bool addr32;  /* prefix 67 */
	bool segment; /* prefix 64 or 65: a base that we do not know */
	uint8_t rex;  /* 0: none */
	uint8_t modrm;
	uint64_t mem; /* address of the operand in memory */
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
		else if (b == 0x64 || b == 0x65)
			c->segment = true;
		else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e)
			break;
		c->at++;
	}
	if ((c->ip[c->at] & 0xf0) == 0x40)
		c->rex = next_byte(c);
	return c->at < MAX_INSN_LEN;
}

/* A register by its three bits and the fourth, which stands at `rex_bit` of REX. */
static uint64_t
greg(const struct cursor *c, const greg_t *gregs, uint8_t nr, uint8_t rex_bit)
{
	return (uint64_t)gregs[greg_of[(nr & 7) | (c->rex & rex_bit ? 8 : 0)]];
}

/* The SIB byte: its base, and its index times its scale. */
static uint64_t
read_sib(struct cursor *c, const greg_t *gregs, bool *no_base)
{
	uint8_t sib = next_byte(c), index = sib >> 3 & 7;
	uint64_t mem = 0;

	*no_base = c->modrm >> 6 == 0 && (sib & 7) == 5;
	if (!*no_base)
		mem = greg(c, gregs, sib, 1);
	if (index != 4 || (c->rex & 2) != 0)
		mem += greg(c, gregs, index, 2) << (sib >> 6);
	return mem;
}

static int64_t
read_signed(struct cursor *c, uint32_t len)
{
	int32_t v32 = 0;
	int8_t v8;

	memcpy(&v32, c->ip + c->at, len);
	c->at += len;
	v8 = (int8_t)v32;
	return len == 1 ? v8 : v32;
}

/*
 * ModRM with SIB and displacement. False: the operand is a register. Where it is
 * relative to the next instruction, nothing may follow the displacement.
 */
static bool
read_address(struct cursor *c, const greg_t *gregs)
{
	bool no_base = false, relative;
	uint8_t mod, rm;

	c->modrm = next_byte(c);
	mod = c->modrm >> 6;
	rm = c->modrm & 7;
	relative = mod == 0 && rm == 5;
	if (mod == 3)
		return false;
	if (rm == 4)
		c->mem = read_sib(c, gregs, &no_base);
	else if (!relative)
		c->mem = greg(c, gregs, rm, 1);
	if (mod == 1)
		c->mem += (uint64_t)read_signed(c, 1);
	else if (mod == 2 || no_base || relative)
		c->mem += (uint64_t)read_signed(c, 4);
	if (relative)
		c->mem += (uint64_t)(uintptr_t)(c->ip + c->at);
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

/* MOVDIR64B: 64 bytes of memory to where the register points. */
static bool
decode_movdir64b(struct cursor *c, const greg_t *gregs, struct sv_store *out)
{
	uint64_t mask = c->addr32 ? UINT32_MAX : UINT64_MAX;

	if (!c->opsize || c->segment || !read_address(c, gregs))
		return false;
	out->len = SV_STORE_64;
	out->from = c->mem & mask;
	out->to = greg(c, gregs, c->modrm >> 3, 4) & mask;
	return (out->to & (SV_STORE_64 - 1)) == 0;
}

static bool
decode_two_byte(struct cursor *c, const greg_t *gregs, struct sv_store *out)
{
	uint8_t op = next_byte(c), third = op == 0x38 ? next_byte(c) : 0;

	if (third == 0xf8)
		return decode_movdir64b(c, gregs, out);
	/* MOVNTI and MOVDIRI */
	if ((op != 0xc3 && third != 0xf9) || c->opsize || !read_address(c, gregs))
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
		if (!read_address(c, gregs))
			return false;
		out->value = register_value(c, gregs, out->len);
		return true;
	case 0xc6: /* MOV r/m, imm */
	case 0xc7:
		if (!read_address(c, gregs) || (c->modrm >> 3 & 7) != 0)
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
