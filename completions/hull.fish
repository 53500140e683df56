# SPDX-License-Identifier: Apache-2.0
complete -c hull -a '(hull __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
