"""What "the same answer" means, task by task, and how sure a model is of one.

Each task is a frozen struct, one of which a certificate holds for every output that it speaks for::

    differs(edge, central)   bool [rows, parts]: where the two answers are not the same
    scores(output, score)    float64 [rows]: how sure the model is; NaN is never sure
    problem(output)          why an output of this kind cannot be read by the task; empty: it can

Arrays come as a model gives them, rows along the first axis.
"""
