# What a batch script finds on the nodes in place of Slurm: `run`, `srun` and `scontrol`.
#
# Each rank of the workload runs `run`. The first runs the script. The others wait for its steps:
# `srun` writes a step into a folder that all ranks share, adds its name to their list, runs the
# tasks of its own node, and ends when each rank has written how its tasks ended. Lists and answers
# are there from the start and are opened for each look, because a network file system may remember
# for long that a file was not there.
#
# Set before: job_name, job_tasks, tasks_of_node, gpus_of_task, cpus_of_task, submit_folder, array
# (least, greatest, count), out, err, in, mode, interpreter, arguments.

shared=$PARKADE_CHECKPOINT_DIR/.sbatch/$PARKADE_ATTEMPT
own=$shared/rank.$PARKADE_NODE_RANK
rank=$PARKADE_NODE_RANK
nodes=$PARKADE_NODES
LOOK=0.1

complain() { echo "$1" >&2; exit "${2:-1}"; }

host_of() { # its address
    local list
    IFS=, read -ra list <<<"$PARKADE_NODE_IPS"
    echo "${list[$1]}"
}

node_of() { # its name in the pool
    local list
    IFS=, read -ra list <<<"$PARKADE_SEATS"
    echo "${list[$1]%%:*}"
}

variables() {
    local number=${PARKADE_WORKLOAD%%_*} member=$PARKADE_ARRAY_INDEX attempt=${PARKADE_ATTEMPT##*.}
    number=${number//[!0-9]/}
    SLURM_JOB_ID=${number:-1}
    if [ -n "$member" ]; then
        export SLURM_ARRAY_JOB_ID=$SLURM_JOB_ID SLURM_ARRAY_TASK_ID=$member
        export SLURM_ARRAY_TASK_MIN=${array[0]} SLURM_ARRAY_TASK_MAX=${array[1]}
        export SLURM_ARRAY_TASK_COUNT=${array[2]}
        SLURM_JOB_ID=$((SLURM_JOB_ID * 1000000 + member))
    fi
    [[ $attempt =~ ^[0-9]+$ ]] && [ "$attempt" -gt 1 ] && export SLURM_RESTART_COUNT=$((attempt - 1))
    export SLURM_JOB_ID SLURM_JOBID=$SLURM_JOB_ID SLURM_JOB_NAME=$job_name
    export SLURM_CLUSTER_NAME=parkade SLURM_JOB_PARTITION=parkade SLURM_JOB_USER=$USER
    export SLURM_JOB_NUM_NODES=$nodes SLURM_NNODES=$nodes
    export SLURM_JOB_NODELIST=$PARKADE_NODE_IPS SLURM_NODELIST=$PARKADE_NODE_IPS
    export SLURM_NTASKS=${job_tasks:-$((nodes * tasks_of_node))} SLURM_NTASKS_PER_NODE=$tasks_of_node
    export SLURM_NPROCS=$SLURM_NTASKS SLURM_TASKS_PER_NODE="$tasks_of_node(x$nodes)"
    export SLURM_GPUS_ON_NODE=$PARKADE_GPUS SLURM_JOB_GPUS=$CUDA_VISIBLE_DEVICES
    export SLURM_SUBMIT_DIR=$submit_folder SLURM_NODEID=$rank SLURM_PROCID=0 SLURM_LOCALID=0
    export SLURMD_NODENAME=$(node_of "$rank")
    [ -n "$cpus_of_task" ] && export SLURM_CPUS_PER_TASK=$cpus_of_task
    [ -n "$gpus_of_task" ] && export SLURM_GPUS_PER_TASK=$gpus_of_task
    PATH=$own/bin:$PATH
}

path_of() { # PATTERN: a path in Slurm's words, like logs/%x-%4j.out
    local left=$1 made='' width
    case $left in *\\*) echo "${left//\\/}"; return ;; esac
    while [[ $left =~ ^([^%]*)%([0-9]*)(.)(.*)$ ]]; do
        made+=${BASH_REMATCH[1]} width=${BASH_REMATCH[2]} left=${BASH_REMATCH[4]}
        local letter=${BASH_REMATCH[3]} value=''
        case $letter in
            %) made+=%; continue ;;
            j) value=$SLURM_JOB_ID ;;
            A) value=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID} ;;
            a) value=${SLURM_ARRAY_TASK_ID:-4294967294} ;;
            J) value=$SLURM_JOB_ID${SLURM_STEP_ID:+.$SLURM_STEP_ID} ;;
            s) value=${SLURM_STEP_ID:-batch} ;;
            N) value=$SLURMD_NODENAME ;;
            n) value=$SLURM_NODEID ;;
            t) value=$SLURM_PROCID ;;
            u) value=$USER ;;
            x) value=$job_name ;;
            *) value=%$width$letter width= ;;
        esac
        [[ -n $width && $value =~ ^[0-9]+$ ]] && value=$(printf "%0${width}d" "$value")
        made+=$value
    done
    echo "$made$left"
}

opened() { # FILE: its name in Slurm's words; emptied by the first attempt alone, unless it appends
    local file
    file=$(path_of "$1")
    if [ "$mode" = append ] || { [ -z "$mode" ] && [ -n "$SLURM_RESTART_COUNT" ]; }; then
        : >>"$file" || exit 1
    else
        : >"$file" || exit 1
    fi
    echo "$file"
}

stub() { # NAME: a program in the path, and for bash a function, since login shells set their path anew
    local call
    call=$(printf '/bin/bash %q %s "$@"' "$own/kit.sh" "$1")
    printf '#!/bin/bash\nexec %s\n' "$call" >"$own/bin/$1"
    chmod 700 "$own/bin/$1"
    functions+=("BASH_FUNC_$1%%=() { $call; }")
}

run() {
    functions=()
    mkdir -p -m 700 "$own/bin"
    stub srun
    stub scontrol
    : >>"$shared/list" && : >>"$shared/over" || exit 1
    variables
    if [ "$rank" = 0 ]; then lead; else follow; fi
}

lead() {
    local old file errors code input=/dev/null
    local -a words=(env "${functions[@]}" "${interpreter[@]}" "$own/slurm_script" "${arguments[@]}")
    for old in "$PARKADE_CHECKPOINT_DIR"/.sbatch/*/; do
        [ "$old" = "$shared/" ] || rm -rf "$old"
    done
    [ -n "$in" ] && input=$(path_of "$in")
    if [ -n "$out" ]; then file=$(opened "$out") || exit 1; fi
    if [ -n "$err" ] && [ "$err" != "$out" ]; then errors=$(opened "$err") || exit 1; fi
    if [ -n "$errors" ]; then
        {
            {
                "${words[@]}" <"$input" 3>&-
                echo $? >"$own/code"
            } 2>&1 >&3 3>&- | tee -a "$errors" >&2
        } 3>&1 | tee -a "${file:-/dev/null}"
        code=$(cat "$own/code")
    elif [ -n "$file" ]; then
        "${words[@]}" <"$input" 2>&1 | tee -a "$file"
        code=${PIPESTATUS[0]}
    else
        "${words[@]}" <"$input"
        code=$?
    fi
    [ -e "$own/requeued" ] && code=85
    echo "${code:-1}" >"$shared/over"
    exit "${code:-1}"
}

follow() {
    local next=0 line steps
    while :; do
        mapfile -t steps <"$shared/list"
        for line in "${steps[@]:next}"; do
            next=$((next + 1))
            [[ " ${line#* } " == *" $rank:"* ]] && { take "$shared/${line%% *}" & }
        done
        [ -s "$shared/over" ] && exit 0
        sleep "$LOOK"
    done
}

take() { # STEP: runs the tasks of this node, and tells how they ended
    # shellcheck disable=SC1091
    source "$1/plan"
    (
        # shellcheck disable=SC1091
        source "$1/environment"
        cd "$step_folder" || exit 1
        tasks "$1"
    )
    echo $? >"$1/code.$rank"
}

GPU_WAIT=0.2
claim_gpus() { # COUNT: those of this node that no other step has
    local count=$1 index got
    local -a all mine
    IFS=, read -ra all <<<"$CUDA_VISIBLE_DEVICES"
    [ "$count" -le "${#all[@]}" ] || complain "srun: the node has ${#all[@]} GPUs, not $count"
    while :; do
        mine=()
        for index in "${all[@]}"; do
            [ "${#mine[@]}" = "$count" ] && break
            if mkdir "$own/gpu.$index" 2>/dev/null; then mine+=("$index"); fi
        done
        [ "${#mine[@]}" = "$count" ] && break
        for index in "${mine[@]}"; do rmdir "$own/gpu.$index"; done
        sleep "$GPU_WAIT"
    done
    got=$(IFS=,; echo "${mine[*]}")
    echo "$got"
}

tasks() { # STEP: all tasks of this node; ends with the greatest code of theirs
    local step=$1 place first count number worst=0 code pid claimed='' index
    local -a running=() left=() devices=()
    place=" $step_places" && place=${place##* $rank:} && place=${place%% *}
    first=${place%%+*} count=${place##*+}
    if [ -n "$step_gpus" ] && [ "$step_gpus" -lt "$PARKADE_GPUS" ]; then
        if [ "$step_gpus" = 0 ]; then
            export CUDA_VISIBLE_DEVICES=
        else
            claimed=$(claim_gpus "$step_gpus") || return 1
            export CUDA_VISIBLE_DEVICES=$claimed
        fi
    fi
    IFS=, read -ra devices <<<"$CUDA_VISIBLE_DEVICES"
    for ((number = 0; number < count; number++)); do
        (
            export SLURM_PROCID=$((first + number)) SLURM_LOCALID=$number
            if [ -n "$step_task_gpus" ]; then
                left=("${devices[@]:number * step_task_gpus:step_task_gpus}")
                CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${left[*]}")
            fi
            one_task
        ) &
        running+=($!)
    done
    while [ "${#running[@]}" -gt 0 ]; do
        left=()
        for pid in "${running[@]}"; do
            if kill -0 "$pid" 2>/dev/null; then left+=("$pid"); continue; fi
            wait "$pid"
            code=$?
            [ "$code" -gt "$worst" ] && worst=$code
            [ "$code" != 0 ] && [ -n "$step_kills" ] && [ ! -s "$step/broken" ] && echo "$code" >"$step/broken"
        done
        running=("${left[@]}")
        [ -n "$step_kills" ] && [ -s "$step/broken" ] && for pid in "${running[@]}"; do
            end_below "$pid"
        done
        [ "${#running[@]}" = 0 ] || sleep "$LOOK"
        # Else the shell says which of its children was killed, with a line of this loop.
    done 2>/dev/null
    if [ -n "$claimed" ]; then
        IFS=, read -ra devices <<<"$claimed"
        for index in "${devices[@]}"; do rmdir "$own/gpu.$index"; done
    fi
    return "$worst"
}

end_below() { # PID: it and what it started, the youngest last
    local child
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do end_below "$child"; done
    kill -KILL "$1" 2>/dev/null
}

one_task() {
    [ -n "$step_out" ] && { exec >>"$(path_of "$step_out")" || exit 1; }
    if [ -n "$step_err" ]; then exec 2>>"$(path_of "$step_err")" || exit 1
    elif [ -n "$step_out" ]; then exec 2>&1; fi
    if [ -n "$step_labels" ]; then
        "${step_words[@]}" 2>&1 | sed -u "s/^/$SLURM_PROCID: /"
        exit "${PIPESTATUS[0]}"
    fi
    exec "${step_words[@]}"
}

whole() { # OPTION VALUE
    [[ $2 =~ ^[1-9][0-9]*$ ]] || complain "srun: $1 needs a whole number above 0, not $2"
    echo "$2"
}

gpus_in() { # gpu:h100:4 and the like; of h100 and gpu one
    local item last
    for item in ${1//,/ }; do
        case $item in
            gpu | gpu:* | gres/gpu*) last=${item##*[:=]} ;;
            none) echo 0; return ;;
            [0-9]* | *:[0-9]*) last=${item##*:} ;;
            *) continue ;;
        esac
        [[ $last =~ ^[0-9]+$ ]] && echo "$last" || echo 1
        return
    done
}

srun() {
    local name value tied count= wanted= of_node= skip=0 listed= left_out= number=0 place of_all=
    local step_folder=$PWD step_gpus= step_task_gpus=$gpus_of_task step_kills= step_out= step_err=
    local step_labels= step_places= step_cpus=$SLURM_CPUS_PER_TASK
    local -a step_words=() chosen=()
    while [ $# -gt 0 ]; do
        case $1 in
            --) shift; break ;;
            --*=*) name=${1%%=*} value=${1#*=} tied=1; shift ;;
            --*) name=$1 value=${2-} tied=; shift ;;
            -[a-zA-Z]?*) name=${1:0:2} value=${1:2} value=${value#=} tied=1; shift ;;
            -[a-zA-Z]) name=$1 value=${2-} tied=; shift ;;
            *) break ;;
        esac
        case $name in
            -l | --label | -u | --unbuffered | --exclusive | --exact | --overlap | --overcommit | -O | -s \
                | --oversubscribe | -Q | --quiet | -v | -vv | --verbose | -k | --no-kill | -X | -Z | -H | -I | -K \
                | --kill-on-bad-exit | --immediate | --disable-status | --no-allocate | --whole | --contiguous)
                case $name in
                    -l | --label) step_labels=1 ;;
                    -K | --kill-on-bad-exit) [ "$tied$value" = 10 ] || step_kills=1 ;;
                    -[lukvsOQ]) [ -n "$tied" ] && set -- "-$value" "$@" ;;
                esac
                continue ;;
            --pty | --multi-prog | --het-group* | --pack-group | --container | --bcast | --x11)
                complain "srun: $name is not there under parkade sbatch" ;;
        esac
        [ -n "$tied" ] || { [ $# -gt 0 ] || complain "srun: $name needs a value"; shift; }
        case $name in
            -n | --ntasks) count=$(whole "$name" "$value") || exit 1 ;;
            -N | --nodes) wanted=$(whole "$name" "${value##*-}") || exit 1 ;;
            --ntasks-per-node | --tasks-per-node) of_node=$(whole "$name" "$value") || exit 1 ;;
            -r | --relative) skip=$value ;;
            -w | --nodelist) listed=$value ;;
            -x | --exclude) left_out=$value ;;
            -o | --output) step_out=$value ;;
            -e | --error) step_err=$value ;;
            -D | --chdir) step_folder=$value ;;
            -c | --cpus-per-task) step_cpus=$value ;;
            --gres | --gpus-per-node | --tres-per-node) step_gpus=$(gpus_in "$value") ;;
            -G | --gpus) of_all=$(gpus_in "$value") ;;
            --gpus-per-task) step_task_gpus=$(gpus_in "$value") ;;
            --export)
                for place in ${value//,/ }; do
                    case $place in *=*) export "${place?}" ;; esac
                done ;;
            --mpi) [ "$value" = none ] || complain "srun: --mpi=$value is not there; start MPI by mpirun" ;;
            -J | --job-name | -i | --input | -t | --time | -A | --account | -p | --partition | -q | --qos | -m \
                | --distribution | -W | --wait | -C | --constraint | -d | -T | --threads | --mem | --mem-per-cpu \
                | --mem-per-gpu | --mem-bind | --cpu-bind | --cpu_bind | --cpu-freq | --gpu-bind | --gpu-freq \
                | --accel-bind | --hint | --jobid | --open-mode | --comment | --signal | --reservation | --propagate \
                | --profile | --acctg-freq | --threads-per-core | --cores-per-socket | --ntasks-per-socket \
                | --ntasks-per-core | --ntasks-per-gpu | --cpus-per-gpu | --network | --gres-flags | --task-prolog \
                | --task-epilog | --epilog | --prolog | --resv-ports | --kill-on-invalid-dep | --mail-type) ;;
            *) complain "srun: $name is not there under parkade sbatch" ;;
        esac
    done
    step_words=("$@")
    [ $# -gt 0 ] || complain "srun: nothing to run"
    choose || exit 1
    [ -n "$step_cpus" ] && export SLURM_CPUS_PER_TASK=$step_cpus
    [ -n "$of_all" ] && step_gpus=$((of_all / ${#chosen[@]}))
    [ -n "$of_node" ] && export SLURM_NTASKS_PER_NODE=$of_node
    until mkdir -m 700 "$shared/step.$number" 2>/dev/null; do number=$((number + 1)); done
    export SLURM_STEP_ID=$number SLURM_STEPID=$number SLURM_NTASKS=$count SLURM_NPROCS=$count
    export SLURM_STEP_NUM_TASKS=$count SLURM_STEP_NUM_NODES=${#chosen[@]} SLURM_NNODES=${#chosen[@]}
    begin "$shared/step.$number"
    exit $?
}

choose() { # the ranks of a step, and which tasks each has: RANK:FIRST+COUNT
    local index each first=0 extra
    for ((index = 0; index < nodes; index++)); do
        is_named "$index" "$left_out" && continue
        [ -z "$listed" ] || is_named "$index" "$listed" || continue
        [ "$index" -ge "$skip" ] && chosen+=("$index")
    done
    [ "${#chosen[@]}" -gt 0 ] || complain "srun: no such node among $SLURM_JOB_NODELIST"
    [ -n "$wanted" ] || { [ -n "$count" ] && [ "$count" -lt "${#chosen[@]}" ] && wanted=$count; }
    [ "${wanted:-0}" -le "${#chosen[@]}" ] || complain "srun: there are ${#chosen[@]} nodes, not $wanted"
    [ -n "$wanted" ] && chosen=("${chosen[@]:0:wanted}")
    if [ -z "$count" ]; then
        if [ -n "$of_node" ]; then count=$((of_node * ${#chosen[@]}))
        elif [ "${#chosen[@]}" = "$nodes" ] && [ -z "$wanted" ]; then count=$SLURM_NTASKS
        elif [ -n "$wanted" ] && [ "$wanted" = 1 ]; then count=1
        else count=$((tasks_of_node * ${#chosen[@]})); fi
    fi
    [ "$count" -ge "${#chosen[@]}" ] || chosen=("${chosen[@]:0:count}")
    extra=$((count % ${#chosen[@]}))
    for index in "${chosen[@]}"; do
        each=$((count / ${#chosen[@]} + (extra-- > 0 ? 1 : 0)))
        step_places+="$index:$first+$each "
        first=$((first + each))
    done
}

is_named() { # RANK LIST: whether its name or address is in the list
    local name
    for name in ${2//,/ }; do
        [ "$name" = "$(node_of "$1")" ] || [ "$name" = "$(host_of "$1")" ] && return 0
    done
    return 1
}

begin() { # STEP: on all its nodes; ends with the greatest code
    local step=$1 index code worst=0
    for index in "${chosen[@]}"; do : >"$step/code.$index"; done
    : >"$step/broken"
    {
        echo "step_words=($(printf '%q ' "${step_words[@]}"))"
        for name in step_folder step_places step_gpus step_task_gpus step_kills step_out step_err step_labels; do
            printf '%s=%q\n' "$name" "${!name}"
        done
    } >"$step/plan"
    (
        umask 077
        for name in $(compgen -e); do
            case $name in
                PARKADE_* | CUDA_VISIBLE_DEVICES | CUDA_DEVICE_ORDER | SLURM_NODEID | SLURMD_NODENAME \
                    | SLURM_JOB_GPUS | HOSTNAME | TMPDIR | PWD | OLDPWD | SHLVL | _) export -n "$name" ;;
            esac
        done
        export -p >"$step/environment"
    )
    echo "step.${step##*.} $step_places" >>"$shared/list"
    if [[ " $step_places" == *" $rank:"* ]]; then
        (cd "$step_folder" && tasks "$step")
        echo $? >"$step/code.$rank"
    fi
    for index in "${chosen[@]}"; do
        until [ -s "$step/code.$index" ]; do sleep "$LOOK"; done
        code=$(cat "$step/code.$index")
        [ "$code" -gt "$worst" ] && worst=$code
    done
    [ -s "$step/broken" ] && worst=$(cat "$step/broken")
    rm -f "$step/environment"
    return "$worst"
}

scontrol() {
    case "$1 $2" in
        "show hostname"*) tr , '\n' <<<"${3:-$SLURM_JOB_NODELIST}" ;;
        "show job"*) echo "JobId=$SLURM_JOB_ID JobName=$job_name JobState=RUNNING NumNodes=$nodes NodeList=$SLURM_JOB_NODELIST" ;;
        "requeue "*) : >"$own/requeued" ;;
        *) complain "scontrol: of parkade sbatch it knows show hostnames, show job and requeue" ;;
    esac
}

"$@"
