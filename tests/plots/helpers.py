"""What the tests of pictures read off the axes."""


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def curve(ax, name):
    return next(line for line in ax.lines if line.get_label() == name)
