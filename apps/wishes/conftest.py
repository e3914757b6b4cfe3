# What takes the place of this application is tested when it has.
collect_ignore = ["instead"]
