"""Running a generator over a folder of images: in shards, in parallel, and in processes that may die."""
