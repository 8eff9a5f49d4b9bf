def write_gallery(out_dir): return out_dir
