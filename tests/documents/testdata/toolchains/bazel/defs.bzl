"""A test of a C program for arm64, without rules that Bazel would fetch."""

def _c_test(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [program],
        inputs = ctx.files.srcs,
        command = "aarch64-linux-gnu-gcc -o %s %s" % (program.path, " ".join([f.path for f in ctx.files.srcs])),
        use_default_shell_env = True,
    )
    return DefaultInfo(executable = program)

c_test = rule(
    implementation = _c_test,
    test = True,
    attrs = {"srcs": attr.label_list(allow_files = True)},
)
