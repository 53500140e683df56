/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the hostile guest begins: by PVH in 32-bit mode without paging (Xen, misc/pvh.pandoc), on to
 * 64 bits with the first 4 GiB mapped one to one, then hostile(start info). Its second processor
 * comes by way of `trampoline`, which is copied to TRAMPOLINE, and goes on to accomplice().
 */
#define TRAMPOLINE 0x8000
#define CODE64     0x08
#define DATA       0x10
#define CODE32     0x18

	.section .note.Xen, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long _start

	.text
	.code32
	.globl _start
_start:	mov %ebx, info
	mov $pml4, %edi
	movl $pdpt + 3, (%edi)
	mov $4, %ecx
	mov $pdpt, %edi
	mov $pages + 3, %eax
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x1000, %eax
	loop 1b
	mov $2048, %ecx
	mov $pages, %edi
	mov $0x83, %eax			/* present, writable, 2 MiB */
1:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	loop 1b
	mov $stack_end, %esp
	mov $first, %ebp
	jmp enter

another:
	mov $DATA, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $stack2_end, %esp
	mov $second, %ebp

enter:	mov %cr4, %eax
	or $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER */
	rdmsr
	or $0x100, %eax			/* LME */
	wrmsr
	mov %cr0, %eax
	and $0x9fffffff, %eax		/* caches on: INIT leaves them off */
	or $0x80000001, %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $CODE64, $long_mode

	.code64
long_mode:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %ebp, %eax
	jmp *%rax
first:	mov info(%rip), %edi
	call hostile
second:	call accomplice

	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + (trampoline_pointer - trampoline)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $CODE32, $another
trampoline_pointer:
	.word 4 * 8 - 1
	.long gdt
trampoline_end:

	.data
	.align 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_pointer:
	.word 4 * 8 - 1
	.long gdt
info:	.long 0

	.bss
	.align 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pages:	.skip 4 * 4096
	.skip 16384
stack_end:
	.skip 16384
stack2_end:

	.section .note.GNU-stack, "", @progbits
