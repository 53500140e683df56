#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each check of the tree finds what it is there to find: a small tree with one fault each.
. "$(dirname "$0")/../integration/lib.sh"

tools=$PWD/tools
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 1
spdx='/* SPDX-License-Identifier: Apache-2.0 */'

fresh() { # an innocent tree
	rm -rf "${tree:?}"/* && mkdir -p src/base src/cli tests/cli tests/oci tests/security tools fuzz man
	cp "$tools/../.clang-format" .clang-format
	cp "$tools/spelling" tools/
	printf '%s\n#pragma once\n\n/* Adds one. */\nint more(int n);\n' "$spdx" >src/base/more.h
	printf '%s\n#include "base/more.h"\n\nint more(int n)\n{\n\treturn n + 1;\n}\n' "$spdx" >src/base/more.c
	printf 'flag\ttest\n-x\tcli/x.sh:works\n' >tests/cli/flags.tsv
	printf 'field\ttest\nid\t\n' >tests/oci/fields.tsv
	cp tests/oci/fields.tsv tests/security/cases.tsv
	printf "# SPDX-License-Identifier: Apache-2.0\n# shellcheck shell=sh\ncheck 'it works' true\n" >tests/cli/x.sh
	printf '# SPDX-License-Identifier: Apache-2.0\n' >Makefile
	printf 'See `src/base/more.c`, `base/` and `more()`.\n' >README.md
}

silent() { # silent CHECK: passes without a word
	out=$("$tools/check-$1" 2>&1) && [ -z "$out" ] || { echo "$out"; return 1; }
}

finds() { # finds CHECK WORDS: fails, saying so
	"$tools/check-$1" >out 2>&1 && { echo 'passes'; return 1; }
	grep -qF -- "$2" out || { cat out; return 1; }
}

fresh
for c in layers headers house format shell spelling license docs lists; do
	check "$c lets an innocent tree pass" silent $c
done

echo '#include "cli/cli.h"' >>src/base/more.c
check 'layers finds a lower module that includes an upper one' finds layers 'base may not include cli/cli.h'
mkdir src/odd && echo >src/odd/odd.c
check 'layers finds a module that it does not know' finds layers 'module odd is not in'
fresh
mkdir src/image && echo '#include "image/inner.h"' >src/cli/main.c
check 'layers finds an include behind a door' finds layers 'image/inner.h is private to image'
fresh
printf '\nstruct buf *x(size_t n);\n' >>src/base/more.h
check 'headers finds a header that does not stand alone' finds headers 'more.h does not compile alone'
check 'house finds a prototype without a comment' finds house 'base/more.h:7: no comment'
fresh
{ echo 'int longer(int n)'; echo '{'; seq -f 'n += %g;' 90; echo 'return n;'; echo '}'; } >>src/base/more.c
check 'house finds a function that is too long' finds house 'at most 80'
fresh
{ echo 'int knot(int n)'; echo '{'; seq -f 'if (n == %g) return 1;' 20; echo 'return n;'; echo '}'; } >>src/base/more.c
check 'house finds a function that is too knotty' finds house 'complexity 21, at most 15'
fresh
seq 900 | sed 's|.*|/* & */|' >>src/base/more.c
check 'house finds a file that is too long' finds house 'at most 800'
fresh
printf '\n/* Many. */\nint many(int a, int b, int c, int d, int e,\n\t int f, int g);\n' >>src/base/more.h
check 'house finds too many parameters' finds house '7 parameters, at most 6'
fresh
printf 'int g(void)\n{\n\tgoto out;\nout:\n\treturn 0;\n}\n' >>src/base/more.c
check 'house finds a goto' finds house 'goto out'
fresh
echo 'int   x ;' >>src/base/more.c
check 'format finds a line that clang-format would write otherwise' finds format 'code should be clang-formatted'
fresh
printf '#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\nrm -rf $1/x\n' >tools/bad
check 'shell finds an unquoted variable' finds shell 'SC2086'
fresh
printf '/* This is t%s end. */\n' eh >>src/base/more.c
check 'spelling finds a misspelt word' finds spelling 'the'
fresh
echo 'int x;' >src/base/bare.c
check 'license finds a source without one' finds license 'src/base/bare.c: no SPDX'
fresh
echo 'And `src/base/gone.c`.' >>README.md
check 'docs finds a path that is not there' finds docs 'no file src/base/gone.c'
fresh
echo 'And `lost_function()`.' >>README.md
check 'docs finds a function that is not there' finds docs 'no function lost_function()'
fresh
echo '[a page](docs/none.md)' >>README.md
check 'docs finds a link that leads nowhere' finds docs 'leads nowhere'
fresh
printf -- '-y\tcli/x.sh:flies\n' >>tests/cli/flags.tsv
check 'lists finds a test that is not there' finds lists 'tests/cli/x.sh holds no "flies"'
printf -- '-y\tcli/y.sh\n' >>tests/cli/flags.tsv
check 'lists finds a file that is not there' finds lists 'tests/cli/y.sh does not exist'
fresh
printf -- '-x\t\n' >>tests/cli/flags.tsv
check 'lists finds a row twice' finds lists 'there already'
printf -- '-z\n' >>tests/cli/flags.tsv
check 'lists finds a row with too few columns' finds lists '1 columns, not 2'
fresh
printf 'flag\twhat\n' >tests/cli/flags.tsv
check 'lists finds a list without a test column' finds lists 'the last of them "test"'
fresh
printf '.Dd $Mdocdate$\n.Sh NOTHING\n.Foo\n' >man/x.1
check 'man finds an unknown macro' finds man 'unknown macro'

summary() { # summary WANT LOG…: the closing line
	want=$1
	shift
	"$tools/test-summary" "$@" >out
	[ "$(tail -n 1 out)" = "$want" ] || { cat out; return 1; }
}
printf 'ok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no disk\n' >a.tap
printf '4 passed, 0 failed, 2 skipped\n' >b.sum
printf 'make: nothing\n' >c.sum
check 'the summary counts the lines of TAP' summary '1 passed, 1 failed, 1 skipped' a.tap
check 'the summary adds up' summary '5 passed, 1 failed, 3 skipped' a.tap b.sum
check 'a log without a summary is a failure' summary '4 passed, 1 failed, 2 skipped' b.sum c.sum
check 'a log that is missing is a failure' summary '0 passed, 1 failed, 0 skipped' none.tap
mkdir -p m/meson-logs
printf '{"name": "x", "stdout": "ok 1 - a\\n1..1\\n", "result": "FAIL", "returncode": 1}\n' >m/meson-logs/testlog.json
check 'a test that ends badly after its last line is a failure' summary '1 passed, 1 failed, 0 skipped' m
printf '{"name": "y", "stdout": "no kvm\\n", "result": "SKIP", "returncode": 77}\n' >m/meson-logs/testlog.json
check 'a test that skips itself counts as skipped' summary '0 passed, 0 failed, 1 skipped' m
done_testing
